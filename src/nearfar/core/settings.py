"""Settings as frozen dataclasses: from TOML, JSON or `key=value`, and back.

A field whose type is an abstract class is set by the name of a module beside that class:
`corruption = "mask"`, or `corruption = {kind = "mask", keep_prob = 0.5}`. Unknown keys are refused,
with the nearest known one as a hint. Values are not converted, except an integer to a float and a
list to a tuple. A field's type declares its range too; see `nearfar.core.ranges`.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import tomllib
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from nearfar.core import discovery, ranges
from nearfar.core.arguments import check_names
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.ranges import type_name

T = TypeVar("T")


class Settings:
    """The base of frozen dataclasses whose fields are checked against their declared types.

    Raises:
        UnknownNameError: a setting is unknown.
        SettingsError: a setting has the wrong type, is out of range, or contradicts another one.
    """

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Earlier names of settings -> today's. `build` accepts both, the constructor only today's."""

    def __new__(cls, *values: Any, **named: Any) -> Self:
        if dataclasses.is_dataclass(cls):
            for earlier, name in cls.RENAMED.items():
                if earlier in named:
                    raise SettingsError(f"the setting {earlier!r} is called {name!r} now")
            check_names("setting", named, [f.name for f in dataclasses.fields(cls) if f.init])
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check(self)
        self.check_together()

    def check_together(self) -> None:
        """Check settings against each other; override it where needed.

        Raises:
            SettingsError: settings contradict each other.
        """


@cache
def types_of(cls: type) -> dict[str, Any]:
    """Return the declared types of a class's fields by name, including ranges."""
    return typing.get_type_hints(cls, include_extras=True)


def build(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build a settings dataclass from plain values.

    Args:
        cls: a frozen dataclass.
        values: field name -> plain value; absent fields keep their defaults.
        where: name of this place in error messages, such as "alignment".

    Raises:
        UnknownNameError: a key is not a field.
        SettingsError: a value is missing, has the wrong type, or is refused by the dataclass.
    """
    hints = types_of(cls)
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # pyright: ignore[reportArgumentType]
    arguments = {}
    for key, value in with_todays_names(cls, values).items():
        if key not in fields:
            raise UnknownNameError("setting", _join(where, key), [_join(where, f) for f in fields])
        value = _with_default_kind(fields[key], hints[key], value)
        arguments[key] = _convert(hints[key], value, _join(where, key))
    for name, field in fields.items():
        if name not in arguments and is_required(field):
            raise SettingsError(f"{_join(where, name)} is missing; give it")
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{where or discovery.name_of(cls)}: {error}") from None


def with_todays_names(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the names that the class gives its settings today; see `RENAMED`.

    Raises:
        SettingsError: a setting is given by both names.
    """
    renamed: Mapping[str, str] = getattr(cls, "RENAMED", {})
    for earlier, name in renamed.items():
        if earlier in values and name in values:
            raise SettingsError(f"{earlier} is called {name} now, and both are given; remove one")
    return {renamed.get(key, key): value for key, value in values.items()}


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Return whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def check(value: Any) -> None:
    """Check the fields of a settings dataclass against their types; parts may be set by name.

    An integer is accepted for a float.

    Raises:
        SettingsError: a value has another type than its field, or is out of the declared range.
    """
    hints = types_of(type(value))
    for field in dataclasses.fields(value):
        current = getattr(value, field.name)
        converted = _convert(hints[field.name], current, field.name)
        is_converted = type(converted) is not type(current) and not isinstance(current, int)
        if is_converted or isinstance(converted, tuple):
            # The value was the name of a part (`prior="vamp"`), a list or a number of NumPy's.
            object.__setattr__(value, field.name, converted)


def check_value(cls: type, name: str, value: Any, where: str) -> None:
    """Check a value for one setting of a class, without building the class.

    Raises:
        SettingsError: the value has the wrong type or is out of the declared range.
    """
    _convert(types_of(cls)[name], value, where)


def _with_default_kind(field: dataclasses.Field[Any], hint: Any, value: Any) -> Any:
    """Merge a table of settings without a kind over the field's default."""
    is_abstract = any(inspect.isabstract(option) for option in (hint, *typing.get_args(hint)))
    if not (isinstance(value, Mapping) and "kind" not in value and is_abstract):
        return value
    if field.default_factory is dataclasses.MISSING:
        return value
    default = field.default_factory()
    return merge({"kind": discovery.name_of(type(default)), **to_plain(default)}, value)


def to_plain(value: Any) -> Any:
    """Return settings as JSON-able values, which `build` of the same class accepts.

    A class may list in `ADDED` the fields that it got later, with the values that keep its old
    behaviour. Fields with these values are left out, so that older checkpoints, bundles and caches
    still match the settings. The entries of base classes apply too; `...` cancels the entry of a
    base for a field that the class has always written.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        added: dict[str, Any] = {}
        for cls in reversed(type(value).__mro__):
            added |= vars(cls).get("ADDED", {})
        plain = {
            f.name: to_plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name not in added or getattr(value, f.name) != added[f.name]
        }
        return {"kind": discovery.name_of(type(value)), **plain} if _base_of(type(value)) else plain
    if isinstance(value, tuple | list):
        return [to_plain(v) for v in value]
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Read settings from a TOML file.

    Raises:
        SettingsError: the file is missing or is not TOML.
    """
    try:
        # Editors on Windows write a byte order mark, which TOML does not allow.
        return tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from None


def merge(base: Mapping[str, Any], *over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; later ones win.

    Settings of another kind replace the old ones entirely. Settings without a kind are merged with
    settings of any kind, also if the old value is only the name of a kind.
    """
    result = dict(base)
    for key, value in (entry for layer in over for entry in layer.items()):
        old = result.get(key)
        if isinstance(value, Mapping) and isinstance(old, str) and old != "none":
            old = {"kind": old}
        if isinstance(old, Mapping) and isinstance(value, Mapping) and _same_kind(old, value):
            result[key] = merge(old, value)
        else:
            result[key] = value
    return result


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return "kind" not in old or new.get("kind", old["kind"]) == old["kind"]


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _base_of(cls: type) -> type | None:
    """Return the nearest abstract base class of `cls`, in whose package it is found, or None."""
    for base in cls.__mro__[1:]:
        if inspect.isabstract(base):
            return base
    return None


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is Annotated:
        base, *constraints = typing.get_args(hint)
        converted = _convert(base, value, where)
        ranges.check(converted, constraints, where)
        return converted
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise SettingsError(f"{where} is {value!r}; a list was expected")
        element = typing.get_args(hint)[0]
        return tuple(_convert(element, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise UnknownNameError(where, str(value), map(str, typing.get_args(hint)))
        return value
    if inspect.isclass(hint) and isinstance(value, hint) and not isinstance(value, bool):
        return _finite(value, where)
    if hint is bool and isinstance(value, bool):
        return value
    if hint is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return _finite(float(value), where)
    if hint is int and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if inspect.isclass(hint) and (dataclasses.is_dataclass(hint) or inspect.isabstract(hint)):
        return _convert_object(hint, value, where)
    raise SettingsError(f"{where} is {value!r}; {type_name(hint)} was expected")


def _finite(value: Any, where: str) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{where} is {value}; a finite number was expected")
    return value


def _convert_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    is_none_word = value == "none" and not any("none" in typing.get_args(o) for o in options)
    if (value is None or is_none_word) and type(None) in options:
        return None
    errors = []
    for option in (o for o in options if o is not type(None)):
        try:
            return _convert(option, value, where)
        except SettingsError as error:
            errors.append(error)
    raise errors[0]


def _convert_object(hint: type, value: Any, where: str) -> Any:
    is_part = inspect.isabstract(hint) or "kind" not in types_of(hint)
    if isinstance(value, str) and is_part:
        value = {"kind": value}
    if not isinstance(value, Mapping):
        part = f"{value.__name__}()" if inspect.isclass(value) else f"a part ({hint.__name__})"
        name = ", a name" * is_part
        text = f"{where} is {value!r}; expected {part}{name} or a table of settings"
        raise SettingsError(text)
    options = {k: v for k, v in value.items() if k != "kind"}
    if inspect.isabstract(hint):
        if "kind" not in value:
            raise SettingsError(f"{where} lacks 'kind'")
        package = hint.__module__.rpartition(".")[0]
        return build(discovery.find(package, hint, str(value["kind"])), options, where)
    if not is_part:  # here "kind" is a setting, not the name of the class
        return build(hint, value, where)
    kind = value.get("kind")
    if kind is not None and str(kind).lower() not in (
        hint.__name__.lower(),
        discovery.name_of(hint),
    ):
        raise UnknownNameError(where, str(kind), [hint.__name__.lower()])
    return build(hint, options, where)
