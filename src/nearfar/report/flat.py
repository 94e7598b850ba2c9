"""Format nested settings and protocols as rows of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def flat(values: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """Return every value as text by its dotted name; a list stays one value."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = f"{where}.{key}" if where else str(key)
        if isinstance(value, Mapping) and value:
            rows |= flat(value, name)
        else:
            rows[name] = plain(value)
    return rows


def plain(value: Any) -> str:
    """Format a value for readers: "yes", "none", "a, b", "0.5"."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {plain(v)}" for k, v in value.items()) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
