"""Groups of users by how many interactions they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from nearfar.core.errors import SettingsError

_SPELLING = re.compile(r"(?P<low>\d+)\s*-\s*(?P<high>\d*)", re.ASCII)


@dataclass(frozen=True)
class Group:
    """Users with at least `low` and at most `high` interactions; None is without end.

    Raises:
        SettingsError: nobody could be in it.
    """

    low: int
    high: int | None = None

    def __post_init__(self) -> None:
        if self.high is not None and self.high < self.low:
            raise SettingsError(f"group {self} ends before it starts")

    def __str__(self) -> str:
        return f"{self.low}-{'' if self.high is None else self.high}"

    def contains(self, counts: Int[np.ndarray, " users"]) -> Bool[np.ndarray, " users"]:
        """Which users are in the group, by their number of interactions."""
        within = counts >= self.low
        return within if self.high is None else within & (counts <= self.high)


def parse_groups(bounds: str) -> tuple[Group, ...]:
    """Groups from "5-10,11-50,51-100,101-": both ends are in, the last may be open.

    Raises:
        SettingsError: a part is not LOW-HIGH in whole numbers, or the groups overlap or are not
            in rising order.
    """
    return ordered_groups(bounds.split(","))


def ordered_groups(groups: Sequence[Group | str]) -> tuple[Group, ...]:
    """The groups, once it is sure that they rise and do not overlap.

    Args:
        groups: each a `Group` or text as "5-10".

    Raises:
        SettingsError: they do not rise, overlap, or there is none.
    """
    if not isinstance(groups, Sequence):
        raise SettingsError(
            f"{groups!r} is no list of groups of users; write them as '5-10,11-50,51-'"
        )
    strange = [group for group in groups if not isinstance(group, Group | str)]
    if strange:
        raise SettingsError(
            f"{strange[0]!r} is not a group of users; write all of them as text, such as "
            "'5-10,11-50,51-'"
        )
    if not groups:
        raise SettingsError("no groups of users; write them as 5-10,11-50,51-")
    parsed = tuple(_parse_group(g.strip()) if isinstance(g, str) else g for g in groups)
    for before, after in pairwise(parsed):
        if after.low < before.low:
            raise SettingsError(f"group {after} comes after {before}; list groups in rising order")
        if before.high is None or after.low <= before.high:
            raise SettingsError(
                f"groups {before} and {after} overlap; both ends of a group are in it"
            )
    return parsed


def _parse_group(text: str) -> Group:
    match = _SPELLING.fullmatch(text)
    if match is None:
        raise SettingsError(f"group {text!r} is not LOW-HIGH in whole numbers, as 5-10 or 101-")
    return Group(int(match["low"]), int(match["high"]) if match["high"] else None)
