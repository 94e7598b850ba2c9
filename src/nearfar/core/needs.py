"""What a room needs beyond nearfar's own dependencies."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError


def check_torch() -> None:
    """Refuse the import of a room that is of no use without PyTorch; imports nothing.

    Raises:
        MissingExtraError: PyTorch is not installed.
    """
    try:
        found = find_spec("torch") is not None
    except ModuleNotFoundError:
        found = False
    if not found:
        raise MissingExtraError("PyTorch", "torch", "all that fits, or scores without an export,")
