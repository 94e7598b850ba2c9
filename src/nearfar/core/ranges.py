"""Ranges of settings, declared by the type of a field: `epochs: PositiveInt`.

A range is `typing.Annotated` with constraints of the package annotated-types. The settings checker,
the command `nearfar algorithms` and the search spaces of the tuner all read this declaration.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Gt, Interval, Le, Lt, MinLen

from nearfar.core.errors import SettingsError

PositiveInt = Annotated[int, Ge(1)]
NonNegativeInt = Annotated[int, Ge(0)]
PositiveFloat = Annotated[float, Gt(0)]
NonNegativeFloat = Annotated[float, Ge(0)]
Share = Annotated[float, Ge(0), Le(1)]
"""From 0 to 1, both included."""
PositiveShare = Annotated[float, Gt(0), Le(1)]
"""Above 0, at most 1."""
LayerSize = Annotated[int, Ge(1), Le(1 << 16)]
"""Units of a layer. A larger number is a mistake, and drawing its weights would take a minute
before they turn out not to fit."""
LayerSizes = tuple[LayerSize, ...]
"""Units of each layer, from first to last."""
Multiple = Annotated[float, Gt(0), Le(100)]
"""A factor; more than 100 is a mistake."""
NonEmptyText = Annotated[str, MinLen(1)]

TESTS = (
    (Gt, "gt", "above", lambda value, bound: value > bound),
    (Ge, "ge", "at least", lambda value, bound: value >= bound),
    (Lt, "lt", "below", lambda value, bound: value < bound),
    (Le, "le", "at most", lambda value, bound: value <= bound),
    (MinLen, "min_length", "of length at least", lambda value, bound: len(value) >= bound),
)


def type_name(hint: Any) -> str:
    """Return a type in words, without its range: "int", "list of int", "float or none"."""
    if typing.get_origin(hint) is Annotated:
        return type_name(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(
            "none" if option is type(None) else type_name(option)
            for option in typing.get_args(hint)
        )
    if typing.get_origin(hint) is tuple:
        return f"list of {type_name(typing.get_args(hint)[0])}"
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(str, typing.get_args(hint)))
    return getattr(hint, "__name__", str(hint))


def check(value: Any, constraints: Iterable[Any], where: str) -> None:
    """Check a value against the constraints of an `Annotated` type.

    Args:
        value: value of the annotated type.
        constraints: constraints of annotated-types; other metadata are ignored.
        where: name of the setting, for the message.

    Raises:
        SettingsError: the value is out of range.
    """
    parts = _parts(constraints)
    for kind, attribute, _, holds in TESTS:
        for part in parts:
            if isinstance(part, kind) and not holds(value, getattr(part, attribute)):
                plain = list(value) if isinstance(value, tuple) else value
                raise SettingsError(f"{where} is {plain!r}; it must be {describe(parts)}")


def describe(constraints: Iterable[Any]) -> str:
    """Return the constraints in words, such as "above 0 and at most 1"; empty for none."""
    parts = _parts(constraints)
    return " and ".join(
        f"{words} {getattr(part, attribute)}"
        for kind, attribute, words, _ in TESTS
        for part in parts
        if isinstance(part, kind)
    )


def _parts(constraints: Iterable[Any]) -> list[Any]:
    """Return the single constraints; an interval has several."""
    result: list[Any] = []
    for constraint in constraints:
        result += list(constraint) if isinstance(constraint, Interval) else [constraint]
    return result
