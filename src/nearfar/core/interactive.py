"""Decide whether a fit shows its progress by default: only if a person is watching."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

_progress_by_default: ContextVar[bool] = ContextVar("progress by default", default=True)


def is_interactive(file: TextIO) -> bool:
    """Return whether a person is watching: the file is a terminal, or this is a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    with contextlib.suppress(AttributeError, ValueError):  # a file that is None or closed
        return file.isatty() or type(shell).__name__ == "ZMQInteractiveShell"
    return False


def shows_progress() -> bool:
    """Return whether a fit shows its progress by default."""
    return _progress_by_default.get() and is_interactive(sys.stderr)


@contextlib.contextmanager
def progress_shown_otherwise() -> Iterator[None]:
    """Switch off the default progress of fits in the block, because the program shows its own."""
    token = _progress_by_default.set(False)
    try:
        yield
    finally:
        _progress_by_default.reset(token)
