"""Wrong arguments of the package's functions, told in words."""

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
        what: one of them is, as "setting".
        named: those given.
        known: those that there are.

    Raises:
        UnknownNameError: one is not known; the message offers the nearest that is.
    """
    known = list(known)
    for name in named:
        if name not in known:
            raise UnknownNameError(what, name, known)


def told_in_words(
    elsewhere: Mapping[str, str] | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that arguments that it does not take raise a `NearfarError`.

    Args:
        elsewhere: names that people look for here, with what to write instead.

    Raises:
        UnknownNameError: in the call: no argument is called so; the nearest is offered.
        SettingsError: in the call: an argument is missing, doubled or one too many, or no path
            where one was expected.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        known = list(signature.parameters)
        paths = [n for n, each in signature.parameters.items() if each.annotation == PATH]
        name = f"nf.{function.__name__}"

        @functools.wraps(function)
        def call(*values: P.args, **named: P.kwargs) -> R:
            for given in named:
                if given in (elsewhere or {}):
                    instead = (elsewhere or {})[given]
                    raise SettingsError(f"{name} has no argument {given!r}; write {instead}")
            check_names(f"argument of {name}", named, known)
            try:
                bound = signature.bind(*values, **named).arguments
            except TypeError as error:
                raise SettingsError(f"{name}: {error}; it takes {', '.join(known)}") from None
            for argument in paths:
                if not isinstance(bound.get(argument, ""), str | os.PathLike):
                    what = kind_of(bound[argument])
                    raise SettingsError(f"{name}: {argument} is {what}; a path was expected")
            return function(*values, **named)

        return call

    return decorate
