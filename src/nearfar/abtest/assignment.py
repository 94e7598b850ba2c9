"""Which arm a user is in: a pure function of the experiment and the user's id."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import accumulate
from pathlib import Path

import polars as pl

from nearfar.core import settings
from nearfar.core.errors import DataError, SchemaError, SettingsError

HASH_BYTES = 8
"""The first so many bytes of the checksum choose the arm."""


@dataclass(frozen=True)
class Experiment:
    """Arms, how users are spread over them, and when.

    A user's arm comes from the SHA-256 of the UTF-8 text NAME, NUL, SALT, NUL, ID. A whole number
    as id stands as its decimal digits (7 and "7" are one user), any other text as it is. The
    first 8 bytes of the checksum, a big-endian number, times the sum of the weights, shifted
    right by 64 bits, is the user's place; arms have places in their order, each as many as its
    weight. Nothing is stored, any program that knows SHA-256 finds the same arm, and weights
    (1, 1) and (50, 50) mean the same.

    With two arms, more weight for the second only moves users into it. With more arms, or when
    an arm is added, users may change to any arm: give the experiment a new name then, and begin
    anew.

    Args:
        name: of the experiment; another name spreads the users anew.
        arms: the names of the arms; the first is the control, which the others are compared with.
        weights: how many of `sum(weights)` users each arm gets; whole numbers.
        salt: a text that makes arms unpredictable to those who do not know it.
        start: the first day (UTC) on which arms differ; None for the first day of the log.
        end: the last day that counts, itself included; None for the last day of the log.

    Raises:
        SettingsError: there are fewer than two arms, two of one name, weights that do not match
            them, a name or salt with a NUL, no name, a moment as start or end, or an end before
            the start.

    Examples:
        >>> from nearfar.abtest.assignment import Experiment
        >>> experiment = Experiment("home-page", arms=("control", "pia"), salt="a secret")
        >>> experiment.arm_of("user-17") in experiment.arms
        True
    """

    name: str
    arms: tuple[str, ...] = ("control", "treatment")
    weights: tuple[int, ...] = (1, 1)
    salt: str = ""
    start: date | None = None
    end: date | None = None

    def __post_init__(self) -> None:
        if not self.name or "\0" in self.name + self.salt:
            raise SettingsError(
                f"the experiment is named {self.name!r} with salt {self.salt!r}; a name was "
                "expected, and no NUL in it or in the salt"
            )
        if len(self.arms) < 2 or len(set(self.arms)) < len(self.arms) or "" in self.arms:
            raise SettingsError(f"arms are {list(self.arms)}; two or more names were expected")
        whole = all(type(w) is int and w > 0 for w in self.weights)
        if len(self.weights) != len(self.arms) or not whole:
            raise SettingsError(
                f"weights are {list(self.weights)} for {len(self.arms)} arms; one whole number "
                "above 0 an arm was expected"
            )
        for name in ("start", "end"):
            if isinstance(getattr(self, name), datetime):
                raise SettingsError(f"{name} is a moment; a day was expected, as 2025-09-01")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise SettingsError(f"the experiment starts on {self.start} and ends on {self.end}")

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def shares(self) -> dict[str, float]:
        """The share of users that each arm is meant to get."""
        return {a: w / sum(self.weights) for a, w in zip(self.arms, self.weights, strict=True)}

    def arm_of(self, user: int | str) -> str:
        """The arm of one user.

        Raises:
            DataError: the id is neither a whole number nor text that UTF-8 can hold.
        """
        if isinstance(user, bool) or not isinstance(user, int | str):
            raise DataError(f"user id {user!r} is a {type(user).__name__}; give a number or text")
        return self._arms_of([str(user)])[0]

    def arms_of(self, users: pl.Series) -> pl.Series:
        """The arm of every user of a column of ids; a million take about two seconds.

        Raises:
            DataError: an id is missing, or the ids are neither whole numbers nor text.
        """
        return pl.Series("arm", self._arms_of(id_texts(users)), dtype=pl.String)

    def _arms_of(self, users: Iterable[str]) -> list[str]:
        named = hashlib.sha256(f"{self.name}\0{self.salt}\0".encode())
        ends = list(accumulate(self.weights))
        found = []
        for user in users:
            state = named.copy()
            try:
                state.update(user.encode())
            except UnicodeEncodeError:
                raise DataError(f"user id {user!r} is no text that UTF-8 can hold") from None
            number = int.from_bytes(state.digest()[:HASH_BYTES], "big")
            found.append(self.arms[bisect_right(ends, number * ends[-1] >> 8 * HASH_BYTES)])
        return found


def id_texts(ids: pl.Series) -> pl.Series:
    """Ids as text: whole numbers by their decimal digits, text as it stands.

    Raises:
        SchemaError: the ids are neither whole numbers nor text.
        DataError: an id is missing.
    """
    kind = ids.dtype
    if len(ids) and not (kind.is_integer() or kind in (pl.String, pl.Categorical, pl.Enum)):
        raise SchemaError(f"{ids.name} ids are {kind}; make them whole numbers or text")
    if ids.null_count():
        row = int(ids.is_null().arg_max() or 0) + 1
        raise DataError(f"the {ids.name} is missing in {ids.null_count():,} rows, first in {row:,}")
    return ids.cast(pl.String)


def read_experiment(path: Path) -> Experiment:
    """An experiment from a TOML file with the fields of `Experiment`; dates stand unquoted.

    Raises:
        SettingsError: the file is missing, is not TOML, or has an unknown or wrong setting.

    Examples:
        >>> from nearfar.abtest.assignment import read_experiment
        >>> n_characters = Path("home.toml").write_text('name = "home-page"')
        >>> read_experiment(Path("home.toml")).arms
        ('control', 'treatment')
    """
    values = settings.read_toml(path)
    if "name" not in values:
        raise SettingsError(f'{path} lacks the experiment\'s name; write name = "..." in it')
    return settings.build(Experiment, values)
