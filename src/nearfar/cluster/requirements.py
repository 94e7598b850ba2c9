"""What the room needs beyond nearfar's own dependencies."""

from __future__ import annotations

from importlib.util import find_spec

from nearfar.core.errors import MissingExtraError


def check_installed() -> None:
    """Raises MissingExtraError where Ray cannot be found; imports nothing."""
    if find_spec("ray") is None:
        raise MissingExtraError("Ray", "cluster", "work on several machines")
