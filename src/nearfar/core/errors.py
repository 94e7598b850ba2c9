"""The errors nearfar raises on purpose.

    NearfarError                 it failed for a reason that one line states
    +-- DataError                the data given cannot be read or used
    |   +-- SchemaError          a column is missing, doubled or of the wrong type
    |   +-- EmptyDataError       nothing is left to work with
    +-- SettingsError            a setting is unknown or out of range
    |   +-- UnknownNameError     no such algorithm, source, metric, setting ...
    +-- ArtefactError            a saved folder is damaged, foreign or of a newer format
    +-- FetchError               a data set could not be downloaded
    +-- DoesNotFitError          the work needs more memory than there is
    +-- DivergedError            training left the real numbers
    +-- CollapsedError           training left nothing of the users in the model
    +-- StoppedError             stopped by hand before there was anything to keep
    +-- MissingExtraError        an optional dependency is not installed

A message says what was got, what was expected and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def kind_of(value: object) -> str:
    """Return what a value is, for messages: "a Split", "an Evaluation"."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


class NearfarError(Exception):
    """It failed for a reason that one line states; the base of all errors raised on purpose.

    Examples:
        >>> try:
        ...     nf.EASE(l=200)
        ... except nf.NearfarError as error:
        ...     print(error)
        unknown setting 'l'; did you mean 'l2'? known: l2
    """


class DataError(NearfarError):
    """The data given cannot be read or used."""


class SchemaError(DataError):
    """A column is missing, doubled or of the wrong type."""


class EmptyDataError(DataError):
    """Nothing is left to work with."""


class SettingsError(NearfarError):
    """A setting is unknown or out of range."""


ALIASES = {"gpu": "cuda", "fp32": "float32", "bf16": "bfloat16"}
"""Words that people know a thing by, where no spelling tells what is meant."""


def near_hint(name: str, known: Iterable[str]) -> str:
    """Return "did you mean 'x'? " for the nearest of the known names; empty without any."""
    folded = {each.lower(): each for each in known}
    alias = ALIASES.get(name.lower(), "")
    near = [alias] if alias in folded else difflib.get_close_matches(
        name.lower(), list(folded), n=1, cutoff=0.5
    )  # fmt: skip
    return f"did you mean {folded[near[0]]!r}? " if near else ""


class UnknownNameError(SettingsError):
    """Nothing of that name exists; the message offers the nearest that does."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        hint = near_hint(name, known)
        super().__init__(f"unknown {what} {name!r}; {hint}known: {', '.join(known) or 'none'}")


class ArtefactError(NearfarError):
    """A saved folder is damaged, foreign or of a newer format."""


class FetchError(NearfarError):
    """A data set could not be downloaded."""


class DoesNotFitError(NearfarError):
    """The work needs more memory than there is."""


class DivergedError(NearfarError):
    """Training left the real numbers."""


class CollapsedError(NearfarError):
    """Training has left nothing of the users in the model."""


class StoppedError(NearfarError):
    """Stopped by hand before there was anything to keep."""


class MissingExtraError(NearfarError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed: pip install 'nearfar[{extra}]'"
        )
