"""Assign users to arms, as a pure function of the experiment and the user's id."""

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
"""Number of leading bytes of the checksum that choose the arm."""


@dataclass(frozen=True)
class Experiment:
    """The arms of an experiment, their weights, and its days.

    A user's arm comes from the SHA-256 of the UTF-8 text NAME, NUL, SALT, NUL, ID. A whole number
    as id is written in decimal digits (7 and "7" are the same user), other ids are used as they
    are. The first 8 bytes of the checksum, as a big-endian number, times the sum of the weights,
    shifted right by 64 bits, is the user's place. Arms take places in their order, as many as
    their weight. Nothing is stored, any program with SHA-256 finds the same arm, and weights
    (1, 1) and (50, 50) mean the same.

    With two arms, more weight for the second only moves users into it. With more arms, or if an
    arm is added, users may move to any arm: then start again with a new name.

    Args:
        name: name of the experiment; another name assigns the users anew.
        arms: names of the arms; the first is the control, which the others are compared with.
        weights: how many of `sum(weights)` users each arm gets; whole numbers.
        salt: a secret text that makes arms unpredictable.
        start: first day (UTC) on which arms differ; None for the first day of the log.
        end: last day that counts, inclusive; None for the last day of the log.

    Raises:
        SettingsError: there are fewer than two arms, two arms have the same name, weights do not
            match the arms, the name is empty, the name or salt has a NUL, start or end has a time
            of day, or the end is before the start.

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
                f"the experiment is named {self.name!r} with salt {self.salt!r}; expected a name, "
                "and no NUL in it or in the salt"
            )
        if len(self.arms) < 2 or len(set(self.arms)) < len(self.arms) or "" in self.arms:
            raise SettingsError(f"arms are {list(self.arms)}; expected two or more different names")
        whole = all(type(w) is int and w > 0 for w in self.weights)
        if len(self.weights) != len(self.arms) or not whole:
            raise SettingsError(
                f"weights are {list(self.weights)} for {len(self.arms)} arms; expected one whole "
                "number above 0 per arm"
            )
        for name in ("start", "end"):
            if isinstance(getattr(self, name), datetime):
                raise SettingsError(f"{name} has a time of day; expected a day such as 2025-09-01")
        if self.start is not None and self.end is not None and self.end < self.start:
            raise SettingsError(
                f"the experiment starts on {self.start} and ends on {self.end}; the end must not "
                "be before the start"
            )

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return self.arms[0]

    @property
    def shares(self) -> dict[str, float]:
        """The share of users that each arm is meant to get."""
        return {a: w / sum(self.weights) for a, w in zip(self.arms, self.weights, strict=True)}

    def arm_of(self, user: int | str) -> str:
        """Return the arm of one user.

        Raises:
            DataError: the id is neither a whole number nor text that UTF-8 can encode.
        """
        if isinstance(user, bool) or not isinstance(user, int | str):
            raise DataError(f"user id {user!r} is a {type(user).__name__}; give a number or text")
        return self._arms_of([str(user)])[0]

    def arms_of(self, users: pl.Series) -> pl.Series:
        """Return the arm of every user id in a column; a million take about two seconds.

        Raises:
            DataError: an id is missing, or the ids are neither whole numbers nor text.
        """
        return pl.Series("arm", self._arms_of(id_texts(users)), dtype=pl.String)

    def _arms_of(self, users: Iterable[str]) -> list[str]:
        hash_of_experiment = hashlib.sha256(f"{self.name}\0{self.salt}\0".encode())
        cumulative_weights = list(accumulate(self.weights))
        arms = []
        for user in users:
            state = hash_of_experiment.copy()
            try:
                state.update(user.encode())
            except UnicodeEncodeError:
                raise DataError(f"user id {user!r} cannot be encoded as UTF-8") from None
            number = int.from_bytes(state.digest()[:HASH_BYTES], "big")
            arms.append(
                self.arms[
                    bisect_right(
                        cumulative_weights, number * cumulative_weights[-1] >> 8 * HASH_BYTES
                    )
                ]
            )
        return arms


def id_texts(ids: pl.Series) -> pl.Series:
    """Convert ids to text: whole numbers to decimal digits; text stays as it is.

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
    """Read an experiment from a TOML file with the fields of `Experiment`; dates are not quoted.

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
        raise SettingsError(f'{path} lacks the experiment\'s name; add a line name = "..."')
    return settings.build(Experiment, values)
