"""The settings of a saved model, completed where an older version of nearfar saved it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfar.algorithms.algorithm import find_algorithm, names
from nearfar.core.settings import with_todays_names


def saved_settings(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a saved model, with today's names and those that it was saved without.

    Args:
        name: the algorithm; settings of one that is not part of nearfar are left as they are.
        values: its settings, as saved.
    """
    if name not in names():
        return dict(values)
    parts = values.get("parts")
    if isinstance(parts, list):
        tables = [saved_settings(str(p.get("kind")), p) for p in parts if isinstance(p, Mapping)]
        values = {**values, "parts": tables if len(tables) == len(parts) else parts}
    algorithm = find_algorithm(name)
    values = with_todays_names(algorithm, values)
    return {**values, **{k: v for k, v in algorithm.EARLIER.items() if k not in values}}
