"""The command that trains a bundle again, from what the bundle knows."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.bundle.bundle import About, jsonable
from nearfar.bundle.folder import refuse_dotted
from nearfar.core import settings
from nearfar.core.errors import NearfarError

PLAIN_WORDS = ("true", "false", "inf", "nan", "none")
"""Words that a setting would not read as text."""


def train_command(about: About, data: str, out: str) -> str | None:
    """The `nearfar train` that fits the algorithm with the bundle's settings and seed.

    Settings that are the algorithm's defaults are not spelled out. None where the algorithm is
    no file of nearfar's, or the settings cannot be given on a command line.

    Args:
        about: of the bundle.
        data: the path of the data it was trained on.
        out: the new bundle's folder.
    """
    try:
        # A dotted path would be imported, which runs the code of whoever wrote the bundle.
        refuse_dotted([about.algorithm, about.settings], "about")
        defaults = _plain(make_algorithm(about.algorithm, {}))
        algorithm = make_algorithm(about.algorithm, about.settings)
        assignments = _assignments(about.settings, defaults, algorithm)
        again = make_algorithm(about.algorithm, settings.parse_assignments(assignments))
    except NearfarError:
        return None
    if _plain(again) != about.settings:
        return None
    assignments = _needed(assignments, about.algorithm, about.settings)
    words = ["nearfar", "train", about.algorithm, "--data", data, "--out", out]
    if about.seed is not None:
        words += ["--seed", str(about.seed)]
    for assignment in assignments:
        words += ["--set", assignment]
    return shlex.join(words)


def _plain(algorithm: Any) -> dict[str, Any]:
    return {k: v for k, v in jsonable(settings.to_plain(algorithm)).items() if k != "kind"}


def _needed(assignments: list[str], algorithm: str, wanted: Mapping[str, Any]) -> list[str]:
    """The assignments without which the settings would not be the wanted ones.

    Those that say nothing go first. A part's kind, which stands before its settings, goes last.
    """
    needed = assignments
    backwards = list(reversed(assignments))
    for each in sorted(backwards, key=lambda each: not each.endswith("=none")):
        fewer = [other for other in needed if other != each]
        try:
            again = make_algorithm(algorithm, settings.parse_assignments(fewer))
        except NearfarError:
            continue
        if _plain(again) == wanted:
            needed = fewer
    return needed


def _assignments(
    values: Mapping[str, Any], defaults: Mapping[str, Any], part: Any, where: str = ""
) -> list[str]:
    """What differs from the defaults, as key=value; `part` is what the values are settings of."""
    found: list[str] = []
    for key, value in values.items():
        name, default = f"{where}{key}", defaults.get(key, ...)
        if value == default:
            continue
        if not isinstance(value, Mapping):
            found.append(f"{name}={_text(value)}")
            continue
        inner_part = getattr(part, key)
        kind = value.get("kind")
        if kind is None and not isinstance(default, Mapping):
            kind = type(inner_part).__name__.lower()  # the one class that the setting may have
        same = isinstance(default, Mapping) and default.get("kind") == kind
        if kind is not None and not same:
            found.append(f"{name}={kind}")
        inner = {k: v for k, v in value.items() if k != "kind"}
        found += _assignments(inner, default if same else {}, inner_part, f"{name}.")  # pyright: ignore[reportArgumentType]
    return found


def _text(value: Any) -> str:
    """A value as `settings.parse_assignments` reads it."""
    if value is None:
        return "none"
    if isinstance(value, str) and value.isidentifier() and value.lower() not in PLAIN_WORDS:
        return value
    return json.dumps(value)
