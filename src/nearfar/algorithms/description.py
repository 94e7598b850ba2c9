"""Descriptions of the algorithms: settings with type, range and default, presets, an example."""

from __future__ import annotations

import textwrap
from dataclasses import asdict, dataclass, replace
from typing import Any

from nearfar.algorithms.algorithm import PACKAGE, Algorithm, find_algorithm, presets
from nearfar.core import discovery
from nearfar.core.schema import Setting, schema_of


@dataclass(frozen=True)
class Description:
    """What an algorithm is and what can be set.

    Attributes:
        name: as the command line takes it.
        summary: the first line of its docstring.
        details: the rest of its docstring before the settings: source and differences.
        settings: in the order of its fields.
        presets: names of kept settings.
    """

    name: str
    summary: str
    details: str
    settings: tuple[Setting, ...]
    presets: tuple[str, ...]

    @property
    def example(self) -> str:
        """A command that trains it."""
        preset = f" --preset {self.presets[0]}" if self.presets else ""
        return f"nearfar train {self.name} --data ml-100k{preset} --out my-{self.name}"

    def rows(self) -> list[tuple[str, Setting]]:
        """Return all settings, each with its dotted name.

        After a setting that is filled by name come those of its default kind, or of its only one.
        """
        result: list[tuple[str, Setting]] = []
        _add_rows(self.settings, "", result)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON-able values."""
        return {**asdict(self), "example": self.example}


def describe(name: str) -> Description:
    """Return the description of the algorithm of that name.

    Raises:
        UnknownNameError: there is no such algorithm.
    """
    cls = find_algorithm(name)
    text = (cls.__doc__ or "").partition("    Examples:\n")[0]
    summary, _, rest = text.partition("\n")
    details = rest.partition("    Args:\n")[0]
    return Description(
        name=discovery.name_of(cls),
        summary=summary,
        details="\n".join(line.removeprefix("    ") for line in details.splitlines()).strip(),
        settings=schema_of(cls),
        presets=tuple(presets(name)),
    )


def describe_all() -> list[Description]:
    """Return the descriptions of all algorithms in the package, by name."""
    return [describe(name) for name in discovery.discover(PACKAGE, Algorithm)]


def to_text(description: Description, width: int = 80) -> str:
    """Return a description for a terminal of that many columns."""
    lines = [f"{description.name}: {description.summary}", "", description.details, "", "Settings"]
    for name, setting in description.rows():
        value = ", ".join(filter(None, (setting.type, setting.range)))
        lines += textwrap.wrap(
            f"{name}: {value}; default {shown(setting)}", width, initial_indent="  ",
            subsequent_indent="      ",
        )  # fmt: skip
        lines += textwrap.wrap(setting.meaning, width, initial_indent=" " * 6,
                               subsequent_indent=" " * 6)  # fmt: skip
    lines += ["", *textwrap.wrap(f"Presets: {', '.join(description.presets) or 'none'}", width)]
    return "\n".join([*lines, f"Example: {description.example}"])


def to_markdown(descriptions: list[Description]) -> str:
    """Return a page of documentation."""
    lines = [
        "# Settings of the algorithms",
        "",
        "Made by `nearfar algorithms --markdown`. Set one by `nearfar train NAME --set key=value`.",
    ]
    for description in descriptions:
        lines += ["", f"## {description.name}", "", description.summary, ""]
        if description.presets:
            lines += [f"Presets: {', '.join(f'`{p}`' for p in description.presets)}.", ""]
        lines += ["| setting | type | range | default | meaning |", "|---|---|---|---|---|"]
        for name, setting in description.rows():
            cells = (f"`{name}`", setting.type, setting.range, f"`{shown(setting)}`",
                     setting.meaning)  # fmt: skip
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def shown(setting: Setting) -> str:
    """Return the default as a person writes it; "required" where there is none."""
    if setting.required:
        return "required"
    value = setting.default
    if isinstance(value, dict):
        return str(value.get("kind", ""))
    if isinstance(value, list) and any(isinstance(part, dict) for part in value):
        return f"[{', '.join(str(part.get('kind', '')) for part in value)}]"
    return "none" if value is None else str(value)


def _add_rows(
    settings: tuple[Setting, ...], prefix: str, result: list[tuple[str, Setting]]
) -> None:
    for setting in settings:
        result.append((f"{prefix}{setting.name}", setting))
        values = setting.default if isinstance(setting.default, dict) else {}
        kind = values.get("kind", next(iter(setting.kinds)) if len(setting.kinds) == 1 else None)
        below = tuple(
            replace(part, default=values[part.name]) if part.name in values else part
            for part in setting.kinds.get(kind, ())
        )
        _add_rows(below, f"{prefix}{setting.name}.", result)
