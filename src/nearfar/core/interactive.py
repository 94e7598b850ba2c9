"""Whether a person watches, and whether a fit shows its progress without being asked."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TextIO

_by_default: ContextVar[bool] = ContextVar("progress by default", default=True)


def is_interactive(file: TextIO) -> bool:
    """Return whether a person watches: the file is a terminal, or this is a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    with contextlib.suppress(AttributeError, ValueError):  # a file that is None or closed
        return file.isatty() or type(shell).__name__ == "ZMQInteractiveShell"
    return False


def shows_progress() -> bool:
    """Return whether a fit shows its progress where nothing else is said."""
    return _by_default.get() and is_interactive(sys.stderr)


@contextlib.contextmanager
def progress_shown_otherwise() -> Iterator[None]:
    """Let no fit show its progress by default while the block runs: the program does it."""
    before = _by_default.set(False)
    try:
        yield
    finally:
        _by_default.reset(before)
