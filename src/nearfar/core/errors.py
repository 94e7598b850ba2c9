"""The errors that nearfar raises on purpose.

    NearfarError                 base class; the message states the reason in one line
    +-- DataError                the data cannot be read or used
    |   +-- SchemaError          a column is missing, occurs twice or has the wrong type
    |   +-- EmptyDataError       no data are left
    +-- SettingsError            a setting is unknown or out of range
    |   +-- UnknownNameError     no such algorithm, source, metric, setting ...
    +-- ArtefactError            a saved folder is damaged, foreign or of a newer format
    +-- FetchError               a data set could not be downloaded
    +-- DoesNotFitError          the work needs more memory than is available
    +-- DivergedError            a value in training is no longer finite
    +-- CollapsedError           the model ranks nearly the same popular items for all users
    +-- StoppedError             stopped by hand before there was anything to save
    +-- MissingExtraError        an optional dependency is not installed

A message says what is wrong, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def kind_of(value: object) -> str:
    """Return a value's class with its article, for messages: "a Split", "an Evaluation"."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


class NearfarError(Exception):
    """The base of all errors raised on purpose; the message states the reason in one line.

    Examples:
        >>> try:
        ...     nf.EASE(l=200)
        ... except nf.NearfarError as error:
        ...     print(error)
        unknown setting 'l'; did you mean 'l2'? known: l2, user_exponent
    """


class DataError(NearfarError):
    """The data cannot be read or used."""


class SchemaError(DataError):
    """A column is missing, occurs twice or has the wrong type."""


class EmptyDataError(DataError):
    """No data are left."""


class SettingsError(NearfarError):
    """A setting is unknown or out of range."""


ALIASES = {"gpu": "cuda", "fp32": "float32", "bf16": "bfloat16"}
"""Common synonym -> the name that nearfar uses, for hints that similar spelling cannot find."""


def near_hint(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'? " for the nearest known name; "" if none is near."""
    by_lower_case = {each.lower(): each for each in known}
    alias = ALIASES.get(name.lower(), "")
    near = [alias] if alias in by_lower_case else difflib.get_close_matches(
        name.lower(), list(by_lower_case), n=1, cutoff=0.5
    )  # fmt: skip
    return f"did you mean {by_lower_case[near[0]]!r}? " if near else ""


class UnknownNameError(SettingsError):
    """A name is unknown; the message suggests the nearest known one."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        hint = near_hint(name, known)
        super().__init__(f"unknown {what} {name!r}; {hint}known: {', '.join(known) or 'none'}")


class ArtefactError(NearfarError):
    """A saved folder is damaged, foreign or of a newer format."""


class FetchError(NearfarError):
    """A data set could not be downloaded."""


class DoesNotFitError(NearfarError):
    """The work needs more memory than is available."""


class DivergedError(NearfarError):
    """A value in training is no longer finite."""


class CollapsedError(NearfarError):
    """The model ranks nearly the same popular items for all users."""


class StoppedError(NearfarError):
    """The work was stopped by hand before there was anything to save."""


class MissingExtraError(NearfarError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'nearfar[{extra}]'"
        )
