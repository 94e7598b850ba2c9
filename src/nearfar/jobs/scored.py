"""The marks of what each published day was scored from."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from nearfar.core.errors import ArtefactError
from nearfar.core.files import read_json
from nearfar.jobs.registry import Registry


def mark_of(registry: Registry, as_of: date) -> Path:
    """The file that says what a day was scored from."""
    return registry.folder / "scored" / f"{as_of}.json"


def read_mark(path: Path) -> dict[str, Any] | None:
    """What a mark tells; nothing where it is damaged: the work is then done again."""
    try:
        return read_json(path)
    except ArtefactError:
        return None
