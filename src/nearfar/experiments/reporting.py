"""Who is told of a training's steps, one training after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from nearfar.train.run import Reporter, Silent

Reporting = Callable[[str], AbstractContextManager[Reporter]]
"""Given what is being fitted, who is told of its steps and epochs."""


@contextmanager
def silent(title: str) -> Iterator[Reporter]:
    """Tells nobody."""
    yield Silent()
