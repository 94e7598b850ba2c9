"""Python's warnings as lines of a command, without the source line that they came from."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

from rich.console import Console


@contextlib.contextmanager
def warnings_as_lines(console: Console) -> Iterator[None]:
    """Print each warning once as a line while the block runs.

    Args:
        console: where to.
    """
    before = warnings.showwarning
    printed: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in printed:
            printed.add(text)
            console.print(f"warning: {text}", style="yellow", markup=False)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before
