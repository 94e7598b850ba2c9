"""The command line that trains a bundle again, from the bundle's metadata."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.bundle.bundle import BundleMetadata, jsonable
from nearfar.bundle.folder import refuse_dotted
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import NearfarError

PLAIN_WORDS = ("true", "false", "inf", "nan", "none")
"""Words that settings do not parse as text."""


def train_command(metadata: BundleMetadata, data: str, out: str) -> str | None:
    """Return the `nearfar train` command with the bundle's algorithm, settings and seed.

    Settings that are defaults of the algorithm are left out.

    Args:
        metadata: metadata of the bundle.
        data: path of the data that the bundle was trained on.
        out: folder of the new bundle.

    Returns:
        The command; None if the algorithm is not part of nearfar, or its settings cannot be given
        on a command line.
    """
    try:
        # A dotted path would be imported, which runs the code of whoever wrote the bundle.
        refuse_dotted([metadata.algorithm, metadata.settings], "about")
        defaults = _plain(make_algorithm(metadata.algorithm, {}))
        algorithm = make_algorithm(metadata.algorithm, metadata.settings)
        assignments = _assignments(metadata.settings, defaults, algorithm)
        retrained = make_algorithm(metadata.algorithm, parse_assignments(assignments))
    except NearfarError:
        return None
    if _plain(retrained) != metadata.settings:
        return None
    assignments = _minimal(assignments, metadata.algorithm, metadata.settings)
    arguments = ["nearfar", "train", metadata.algorithm, "--data", data, "--out", out]
    if metadata.seed is not None:
        arguments += ["--seed", str(metadata.seed)]
    for assignment in assignments:
        arguments += ["--set", assignment]
    return shlex.join(arguments)


def _plain(algorithm: Any) -> dict[str, Any]:
    return {k: v for k, v in jsonable(settings.to_plain(algorithm)).items() if k != "kind"}


def _minimal(assignments: list[str], algorithm: str, target: Mapping[str, Any]) -> list[str]:
    """Return the assignments that are needed to get the `target` settings.

    It tries to drop "=none" first, then from the back, since a part's kind precedes its settings.
    """
    needed = assignments
    from_back = list(reversed(assignments))
    for assignment in sorted(from_back, key=lambda a: not a.endswith("=none")):
        fewer = [other for other in needed if other != assignment]
        try:
            retrained = make_algorithm(algorithm, parse_assignments(fewer))
        except NearfarError:
            continue
        if _plain(retrained) == target:
            needed = fewer
    return needed


def _assignments(
    values: Mapping[str, Any], defaults: Mapping[str, Any], part: Any, where: str = ""
) -> list[str]:
    """Return settings that differ from the defaults as key=value; `part` is the object they set."""
    assignments: list[str] = []
    for key, value in values.items():
        name, default = f"{where}{key}", defaults.get(key, ...)
        if value == default:
            continue
        if not isinstance(value, Mapping):
            assignments.append(f"{name}={_text(value)}")
            continue
        inner_part = getattr(part, key)
        kind = value.get("kind")
        if kind is None and not isinstance(default, Mapping):
            kind = type(inner_part).__name__.lower()  # the one class that the setting may have
        same_kind = isinstance(default, Mapping) and default.get("kind") == kind
        if kind is not None and not same_kind:
            assignments.append(f"{name}={kind}")
        inner = {k: v for k, v in value.items() if k != "kind"}
        assignments += _assignments(inner, default if same_kind else {}, inner_part, f"{name}.")  # pyright: ignore[reportArgumentType]
    return assignments


def _text(value: Any) -> str:
    """Format a value so that `parse_assignments` reads it back."""
    if value is None:
        return "none"
    if isinstance(value, str) and value.isidentifier() and value.lower() not in PLAIN_WORDS:
        return value
    return json.dumps(value)
