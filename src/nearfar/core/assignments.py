"""Settings as `key=value` texts, the way the command line takes them."""

from __future__ import annotations

import tomllib
from typing import Any

from nearfar.core.errors import SettingsError


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Parse `["epochs=50", "alignment.weight=1"]` to a nested mapping; values are read as TOML.

    A value that is not TOML is read as text, so that `corruption=mask` needs no quotes.

    Raises:
        SettingsError: there is no "=", or a key has both a value and keys below it.
    """
    result: dict[str, Any] = {}
    for assignment in assignments:
        key, sign, text = assignment.partition("=")
        if not sign or not key.strip():
            raise SettingsError(f"{assignment!r} is not of the form key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = None if text.strip() == "none" else text.strip()
        _insert(result, key.strip().split("."), value, assignment)
    return result


def _insert(tree: dict[str, Any], path: list[str], value: Any, assignment: str) -> None:
    for part in path[:-1]:
        subtree = tree.setdefault(part, {})
        if isinstance(subtree, str):  # alignment=pia alignment.weight=1
            subtree = tree[part] = {"kind": subtree}
        if not isinstance(subtree, dict):
            raise SettingsError(f"{assignment!r}: {part!r} already has a value")
        tree = subtree
    tree[path[-1]] = value
