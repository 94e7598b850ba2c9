"""Groups of users by how many interactions they have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Int

from nearfar.core.errors import SettingsError

_GROUP = re.compile(r"(?P<low>\d+)\s*-\s*(?P<high>\d*)", re.ASCII)


@dataclass(frozen=True)
class Group:
    """A group of users with `low` to `high` interactions, both included; None means no limit.

    Raises:
        SettingsError: `high` is below `low`.
    """

    low: int
    high: int | None = None

    def __post_init__(self) -> None:
        if self.high is not None and self.high < self.low:
            raise SettingsError(f"group {self} ends before it starts; write it as LOW-HIGH")

    def __str__(self) -> str:
        return f"{self.low}-{'' if self.high is None else self.high}"

    def contains(self, counts: Int[np.ndarray, " users"]) -> Bool[np.ndarray, " users"]:
        """Return which users are in the group, from their numbers of interactions."""
        within = counts >= self.low
        return within if self.high is None else within & (counts <= self.high)


def parse_groups(bounds: str) -> tuple[Group, ...]:
    """Parse groups such as "5-10,11-50,51-100,101-"; bounds are included, the last is optional.

    Raises:
        SettingsError: a part is not LOW-HIGH in whole numbers, or the groups overlap or are not
            in rising order.
    """
    return ordered_groups(bounds.split(","))


def ordered_groups(groups: Sequence[Group | str]) -> tuple[Group, ...]:
    """Check that groups are in rising order and do not overlap, and return them.

    Args:
        groups: each a `Group` or text such as "5-10".

    Raises:
        SettingsError: there is no group, or they overlap or are not in rising order.
    """
    if not isinstance(groups, Sequence):
        raise SettingsError(
            f"{groups!r} is not a list of groups of users; write them as '5-10,11-50,51-'"
        )
    invalid = [group for group in groups if not isinstance(group, Group | str)]
    if invalid:
        raise SettingsError(
            f"{invalid[0]!r} is not a group of users; write all of them as text, such as "
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
                f"groups {before} and {after} overlap; both bounds of a group are included"
            )
    return parsed


def _parse_group(text: str) -> Group:
    match = _GROUP.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"group {text!r} is not LOW-HIGH in whole numbers, such as 5-10 or 101-"
        )
    return Group(int(match["low"]), int(match["high"]) if match["high"] else None)
