"""Clear errors for wrong arguments of the package's functions."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec, TypeVar

from nearfar.core.errors import SettingsError, UnknownNameError, kind_of

P = ParamSpec("P")
R = TypeVar("R")

PATH = "str | Path"
"""The annotation of arguments that are checked to be paths."""


def check_names(what: str, named: Iterable[str], known: Iterable[str]) -> None:
    """Check that names are known.

    Args:
        what: what the names denote, for the message, such as "setting".
        named: names to check.
        known: the known names.

    Raises:
        UnknownNameError: a name is unknown; the message suggests the nearest known one.
    """
    known = list(known)
    for name in named:
        if name not in known:
            raise UnknownNameError(what, name, known)


def validate_arguments(
    elsewhere: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that a call with wrong arguments raises a `NearfarError`.

    Args:
        elsewhere: names that people may expect as arguments -> what to write instead.

    Raises:
        UnknownNameError: in the call: an argument is unknown; the message suggests the nearest.
        SettingsError: in the call: an argument is missing, given twice, superfluous or not a path.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        known = list(signature.parameters)
        paths = [n for n, p in signature.parameters.items() if p.annotation == PATH]
        name = f"nf.{function.__name__}"

        @functools.wraps(function)
        def call(*values: P.args, **named: P.kwargs) -> R:
            for argument in named:
                if argument in (elsewhere or {}):
                    instead = (elsewhere or {})[argument]
                    raise SettingsError(f"{name} has no argument {argument!r}; write {instead}")
            check_names(f"argument of {name}", named, known)
            try:
                bound = signature.bind(*values, **named).arguments
            except TypeError as error:
                raise SettingsError(f"{name}: {error}; it takes {', '.join(known)}") from None
            for argument in paths:
                if not isinstance(bound.get(argument, ""), str | os.PathLike):
                    kind = kind_of(bound[argument])
                    raise SettingsError(f"{name}: {argument} is {kind}; a path was expected")
            return function(*values, **named)

        return call

    return decorate
