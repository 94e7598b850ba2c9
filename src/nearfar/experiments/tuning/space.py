"""Search spaces: the settings to search, and their bounds."""

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
    """The values of one setting; whole numbers if both bounds are.

    Args:
        low, high: the smallest and the largest value, both included.
        log: search on a logarithmic scale.
        step: distance of two values; None for 1 between whole numbers and for any other value.
        choices: the only values, instead of bounds.

    Raises:
        SettingsError: the bounds are missing, contradict each other or leave no choice.
    """

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    step: int | float | None = None
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.choices:
            if self.low is not None or self.high is not None or self.log or self.step:
                raise SettingsError("choices and bounds exclude each other; give one of them")
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
        """Return whether a value is in the bounds and on a step, or one of the choices."""
        if self.choices:
            return value in self.choices
        if self.low is None or self.high is None or not isinstance(value, int | float):
            return False
        if self.whole and not isinstance(value, int):
            return False
        steps = 0.0 if not self.step else (value - self.low) / self.step
        return self.low <= value <= self.high and steps == round(steps)

    def to_plain(self) -> dict[str, Any]:
        """Return the parameter as a file contains it."""
        if self.choices:
            return {"choices": list(self.choices)}
        plain = {"low": self.low, "high": self.high}
        return plain | ({"log": True} if self.log else {"step": self.step} if self.step else {})

    @classmethod
    def from_plain(cls, key: str, values: Any) -> Parameter:
        """Build a parameter of {low = 10.0, high = 5000.0, log = true}, or {choices = [1, 2]}.

        Raises:
            SettingsError: `values` is neither.
            UnknownNameError: it has another key.
        """
        if not isinstance(values, Mapping):
            raise SettingsError(
                f"{key} is {values!r}; expected a table of low and high, or of choices"
            )
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
    """The settings to search, by dotted name ("alignment.weight")."""

    parameters: Mapping[str, Parameter]

    @classmethod
    def read(cls, path: Path) -> Space:
        """Read a space from a TOML file: one line per setting, dotted names in quotes.

        Raises:
            SettingsError: the file is missing, is not TOML, or bounds are not valid.
        """
        tables = settings.read_toml(path)
        try:
            return cls({key: Parameter.from_plain(key, value) for key, value in tables.items()})
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from None

    @classmethod
    def of(cls, name: str) -> Space:
        """Read the space that comes with an algorithm.

        Raises:
            UnknownNameError: the algorithm is unknown.
            SettingsError: no space comes with it.
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
        """Return the space of these settings alone; the whole space if `keys` is empty.

        Raises:
            UnknownNameError: a setting is not in the space.
        """
        for key in keys:
            if key not in self.parameters:
                raise UnknownNameError("setting of the search space", key, self.parameters)
        return Space({k: p for k, p in self.parameters.items() if not keys or k in keys})

    def within(self, algorithm: Algorithm) -> Space:
        """Return the space without the settings that this algorithm does not have.

        Settings of an alignment remain only if the algorithm has one, and settings of a default
        kind (as `likelihood.background`) only if the algorithm uses that kind.

        Raises:
            UnknownNameError: the algorithm has no setting of that name, with any kind.
            SettingsError: nothing is left to search, or bounds exceed a setting's declared range.
        """
        plain, default = settings.to_plain(algorithm), settings.to_plain(type(algorithm)())

        def has(key: str) -> bool:
            table, _, name = key.rpartition(".")
            owner = value_of(plain, table) if table else plain
            if owner is None or name in owner:
                return owner is not None
            value_of(default, key)  # raises if no kind has it
            return False

        parameters = {k: p for k, p in self.parameters.items() if has(k)}
        if not parameters:
            raise SettingsError(
                f"there is nothing to search: of {', '.join(self.parameters) or 'an empty space'} "
                "these settings have nothing; switch it on with --set, as alignment=pia"
            )
        for key, parameter in parameters.items():
            _check_declared_range(algorithm, key, parameter)
        return Space(parameters)

    def to_plain(self) -> dict[str, Any]:
        """Return the space as a file contains it."""
        return {key: parameter.to_plain() for key, parameter in self.parameters.items()}


def _check_declared_range(algorithm: Algorithm, key: str, parameter: Parameter) -> None:
    *path, name = key.split(".")
    owner: Any = algorithm
    for part in path:
        owner = getattr(owner, part)
    for value in parameter.choices or (parameter.low, parameter.high):
        settings.check_value(type(owner), name, value, f"search space: {key}")


def plain_settings(algorithm: Algorithm) -> dict[str, Any]:
    """Return the settings as a preset contains them, without the algorithm's name."""
    return {k: v for k, v in settings.to_plain(algorithm).items() if k != "kind"}


def value_of(plain: Mapping[str, Any], key: str) -> Any:
    """Return the value of a dotted setting; None if the part it belongs to is switched off.

    Raises:
        UnknownNameError: the setting is unknown.
    """
    value: Any = plain
    path = []
    for part in key.split("."):
        if value is None:
            return None
        if not isinstance(value, Mapping) or part not in value:
            known = [".".join((*path, k)) for k in value] if isinstance(value, Mapping) else []
            raise UnknownNameError("setting of the search space", key, known)
        path.append(part)
        value = value[part]
    return value


def with_values(plain: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with the values of some dotted names replaced."""
    result = dict(plain)
    for key, value in values.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        result = settings.merge(result, nested)
    return result
