"""The schema of settings: name, type, range, default and meaning, read from the declaration."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from dataclasses import dataclass
from typing import Annotated, Any

from nearfar.core import discovery, ranges
from nearfar.core.ranges import type_name
from nearfar.core.settings import to_plain, types_of

ENTRY = re.compile(r"^(?P<names>\w+(?:, \w+)*): (?P<text>.*)$")


@dataclass(frozen=True)
class Setting:
    """The schema of a setting.

    Attributes:
        name: name of the field.
        type: type in words; the names of all kinds for a field that is set by name.
        range: range in words, such as "above 0 and at most 1"; empty if every value is allowed.
        default: default, JSON-able; `None` also if it depends on the data.
        required: whether there is no default.
        meaning: entry of the docstring, in one line.
        kinds: for a field that is set by name, name of each kind -> its schema.
    """

    name: str
    type: str
    range: str
    default: Any
    required: bool
    meaning: str
    kinds: dict[str, tuple[Setting, ...]] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the setting as JSON-able values."""
        return dataclasses.asdict(self)


def schema_of(cls: type) -> tuple[Setting, ...]:
    """Return the settings of a dataclass in the order of its fields.

    The meaning of a setting is its entry under `Args` or `Attributes` in the docstring of the class
    or of the nearest base class that has one.
    """
    hints, meanings = types_of(cls), meanings_of(cls)
    settings = []
    for field in dataclasses.fields(typing.cast("Any", cls)):
        hint = hints[field.name]
        kinds = _kinds(hint)
        default, required = _default(field)
        settings.append(
            Setting(
                name=field.name,
                type=" or ".join(kinds) if kinds else type_name(hint),
                range=_range(hint),
                default=default,
                required=required,
                meaning=meanings.get(field.name, ""),
                kinds={name: schema_of(kind) for name, kind in kinds.items() if kind is not cls},
            )
        )
    return tuple(settings)


def meanings_of(cls: type) -> dict[str, str]:
    """Return each setting's entry in the docstrings of a class and its bases, in one line."""
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        meanings |= _entries(inspect.cleandoc(base.__dict__.get("__doc__") or ""))
    return meanings


def _entries(docstring: str) -> dict[str, str]:
    """Return the entries under `Args` and `Attributes` by name."""
    entries: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in docstring.splitlines():
        if not line.startswith(" "):
            inside, names = line in ("Args:", "Attributes:") or (inside and not line), []
        elif inside and line.startswith("    ") and line[4:5] != " ":
            match = ENTRY.match(line.strip())
            names = match["names"].split(", ") if match else []
            entries |= dict.fromkeys(names, match["text"] if match else "")
        elif inside:
            entries |= {name: f"{entries[name]} {line.strip()}" for name in names}
    return entries


def _default(field: dataclasses.Field[Any]) -> tuple[Any, bool]:
    if field.default_factory is not dataclasses.MISSING:
        return to_plain(field.default_factory()), False
    if field.default is not dataclasses.MISSING:
        return to_plain(field.default), False
    return None, True


def _kinds(hint: Any) -> dict[str, type]:
    """Return the classes that a field can be set to by name."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return {n: k for option in typing.get_args(hint) for n, k in _kinds(option).items()}
    if inspect.isclass(hint) and inspect.isabstract(hint):
        return discovery.discover(hint.__module__.rpartition(".")[0], hint)
    if inspect.isclass(hint) and dataclasses.is_dataclass(hint):
        return {discovery.name_of(hint): hint}
    return {}


def _range(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        outer = ranges.describe(arguments[1:])
        inner = _range(arguments[0])
        return ", ".join(filter(None, (outer, inner)))
    if origin in (typing.Union, types.UnionType):
        return ", ".join(filter(None, map(_range, arguments)))
    if origin is tuple:
        inner = _range(arguments[0])
        return f"each {inner}" if inner else ""
    return ""
