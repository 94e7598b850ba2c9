"""Search spaces: which settings are searched, and within what bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar import algorithms
from nearfar.algorithms.algorithm import Algorithm, find_algorithm
from nearfar.core import discovery, settings
from nearfar.core.errors import SettingsError, UnknownNameError


@dataclass(frozen=True)
class Parameter:
    """The bounds of one setting; whole numbers where both are whole.

    Args:
        low, high: the least and the greatest value, both in.
        log: search orders of magnitude rather than the line.
        step: between values; None for 1 of whole numbers, and for any value of others.
        choices: these values and no others, in place of bounds.

    Raises:
        SettingsError: the bounds hold nothing to choose from.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise SettingsError("choices and bounds exclude each other")
            return
        if self.low is None or self.high is None:
            raise SettingsError("low and high are needed, or choices")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SettingsError(f"low is {self.low}, high {self.high}; low must be less than high")
        if self.log and (self.low <= 0 or self.step):
            raise SettingsError("log needs low above 0, and no step")

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def holds(self, value: Any) -> bool:
        """Whether a value could be proposed."""
        if self.choices:
            return value in self.choices
        if self.low is None or self.high is None or not isinstance(value, int | float):
            return False
        if self.whole and not isinstance(value, int):
            return False
        steps = 0.0 if not self.step else (value - self.low) / self.step
        return self.low <= value <= self.high and steps == round(steps)

    def to_plain(self) -> dict[str, Any]:
        """As it stands in a file."""
        if self.choices:
            return {"choices": list(self.choices)}
        plain = {"low": self.low, "high": self.high}
        return plain | ({"log": True} if self.log else {"step": self.step} if self.step else {})

    @classmethod
    def from_plain(cls, key: str, values: Any) -> Parameter:
        """From a file: {low = 10.0, high = 5000.0, log = true}, or {choices = [1, 2]}.

        Raises:
            SettingsError: it is neither.
        """
        if not isinstance(values, Mapping):
            raise SettingsError(f"{key} is {values!r}; a table of low and high, or of choices")
        known = ("low", "high", "log", "step", "choices")
        for name in values:
            if name not in known:
                raise UnknownNameError(f"part of {key}", name, known)
        for name in ("low", "high", "step"):
            if isinstance(values.get(name, 0), bool | str):
                raise SettingsError(f"{key}: {name} is {values[name]!r}; a number was expected")
        try:
            return cls(**{**values, "choices": tuple(values.get("choices", ()))})
        except SettingsError as error:
            raise SettingsError(f"{key}: {error}") from None


@dataclass(frozen=True)
class Space:
    """The settings searched, by dotted name ("alignment.weight")."""

    parameters: Mapping[str, Parameter]

    @classmethod
    def read(cls, path: Path) -> Space:
        """From a TOML file: a line a setting, dotted ones in quotes.

        Raises:
            SettingsError: the file is missing, is not TOML, or bounds are not valid.
        """
        found = settings.read_toml(path)
        try:
            return cls({key: Parameter.from_plain(key, value) for key, value in found.items()})
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from None

    @classmethod
    def of(cls, name: str) -> Space:
        """The space that is kept for an algorithm.

        Raises:
            UnknownNameError: there is no such algorithm.
            SettingsError: none is kept for it.
        """
        key = discovery.name_of(find_algorithm(name))
        path = Path(algorithms.__path__[0]) / "spaces" / f"{key}.toml"
        if not path.exists():
            raise SettingsError(
                f"no search space is kept for {name}; write one, a line a setting as "
                "strength = { low = 0.1, high = 10.0, log = true }, and give it with --space FILE "
                "(in Python space=FILE)"
            )
        return cls.read(path)

    def only(self, keys: Sequence[str]) -> Space:
        """These settings alone; all where none is named.

        Raises:
            UnknownNameError: one is not in the space.
        """
        for key in keys:
            if key not in self.parameters:
                raise UnknownNameError("setting of the search space", key, self.parameters)
        return Space({k: p for k, p in self.parameters.items() if not keys or k in keys})

    def within(self, algorithm: Algorithm) -> Space:
        """Return the settings that this algorithm has.

        Those of an alignment are kept only where it aligns, those of a default kind (as
        `likelihood.background`) only where no other kind was chosen.

        Raises:
            UnknownNameError: it has no setting of that name.
            SettingsError: nothing is left to search, or bounds leave a setting's declared range.
        """
        plain, default = settings.to_plain(algorithm), settings.to_plain(type(algorithm)())

        def has(key: str) -> bool:
            table, _, name = key.rpartition(".")
            within = value_of(plain, table) if table else plain
            if within is None or name in within:
                return within is not None
            value_of(default, key)  # raises where no kind has it
            return False

        kept = {k: p for k, p in self.parameters.items() if has(k)}
        if not kept:
            raise SettingsError(
                f"there is nothing to search: of {', '.join(self.parameters) or 'an empty space'} "
                "these settings have nothing; switch it on with --set, as alignment=pia"
            )
        for key, parameter in kept.items():
            _check_declared_range(algorithm, key, parameter)
        return Space(kept)

    def to_plain(self) -> dict[str, Any]:
        """As it stands in a file."""
        return {key: parameter.to_plain() for key, parameter in self.parameters.items()}


def _check_declared_range(algorithm: Algorithm, key: str, parameter: Parameter) -> None:
    *path, name = key.split(".")
    owner: Any = algorithm
    for part in path:
        owner = getattr(owner, part)
    for value in parameter.choices or (parameter.low, parameter.high):
        settings.check_value(type(owner), name, value, f"search space: {key}")


def value_of(plain: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted setting; None where what it is a setting of is switched off.

    Raises:
        UnknownNameError: there is no such setting.
    """
    here: Any = plain
    where = []
    for part in key.split("."):
        if here is None:
            return None
        if not isinstance(here, Mapping) or part not in here:
            known = [".".join((*where, k)) for k in here] if isinstance(here, Mapping) else []
            raise UnknownNameError("setting of the search space", key, known)
        where.append(part)
        here = here[part]
    return here


def with_values(plain: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the values of dotted names in their places."""
    result = dict(plain)
    for key, value in values.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        result = settings.merge(result, nested)
    return result
