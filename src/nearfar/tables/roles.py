"""The roles that a column can have: user, item, rating, time, weight, kind, title, ..."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import polars as pl

from nearfar.tables.names import (
    GENRES,
    KINDS,
    OUTCOMES,
    OUTCOMES_ELSEWHERE,
    OWN_NAMES,
    RARER,
    STATUSES,
    SYNONYMS,
    TITLES,
    TITLES_AS_IDS,
    UNDONE,
    plain_name,
)


@dataclass(frozen=True, eq=False)
class Parsed:
    """The parsed values of a column.

    Attributes:
        values: typed values; null for missing and unreadable ones.
        bad: mask of the unreadable values.
        expected: what was expected, for messages.
        given: the original values, for messages; None if they equal `values`.
    """

    values: pl.Series
    bad: pl.Series
    expected: str
    given: pl.Series | None = None


Kind = Literal["id", "number", "time", "text", "word", "hint", "tags", "any"]

OPTIONS = {
    "user": "--user-column",
    "item": "--item-column",
    "rating": "--rating-column",
    "timestamp": "--time-column",
    "weight": "--weight-column",
    "kind": "--kind-column",
    "outcome": "--outcome-column",
}


@dataclass(frozen=True)
class Role:
    """A role that a column can have.

    Attributes:
        name: the column's name in a block of rows.
        kind: the kind of its values.
        known: the usual names of the column, in the form of `plain_name`, in order of preference.
        n_own: how many of the first `known` names are names of the role itself. A table may have
            only one of the others.
        required: whether a table without the column is refused.
        rarer: groups of names that are used if the table has none of `known`. The first group with
            a match counts.
    """

    name: str
    kind: Kind
    known: tuple[str, ...]
    n_own: int | None = None
    required: bool = False
    rarer: tuple[tuple[str, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the column."""
        return (*self.known, *chain.from_iterable(self.rarer))


def _event_role(name: str, kind: Kind, *, required: bool = False) -> Role:
    return Role(name, kind, SYNONYMS[name], OWN_NAMES.get(name), required, RARER[name])


EVENT_ROLES = (
    _event_role("user", "id", required=True),
    _event_role("item", "id", required=True),
    _event_role("rating", "number"),
    _event_role("timestamp", "time"),
    _event_role("weight", "number"),
)
KIND_ROLE = Role(
    "kind", "text",
    ("kind", "eventtype", "event", "eventname", "action", "actiontype", "behavior", "behaviour",
     "behaviortype", "interactiontype", "interaction", "feedback", "type"),
    required=True,
    rarer=(KINDS,),
)  # fmt: skip
"""The kind of an event (view, click, purchase), required if kinds have weights."""
PLAIN_ROLES = (
    Role("kind", "word", KIND_ROLE.known, rarer=(STATUSES, KINDS)),
    Role("status", "word", STATUSES),
    Role("outcome", "word", OUTCOMES, rarer=(OUTCOMES_ELSEWHERE,)),
    *(Role(name, "word", UNDONE) for name in ("undone", "undone_2", "undone_3")),
)
"""Columns that show which rows are no events, if kinds have no weights. They are not kept."""
IMPLIED = {"status": "kind", **dict.fromkeys(("undone", "undone_2", "undone_3"), "outcome")}
"""Roles that are switched off together with another role."""


def event_roles(*, weighed_kinds: bool) -> tuple[Role, ...]:
    """Return the roles that columns of events may have.

    Args:
        weighed_kinds: whether kinds of events have weights. If so, the column of kinds is required
            and the column of outcomes is not read.
    """
    return (*EVENT_ROLES, KIND_ROLE) if weighed_kinds else (*EVENT_ROLES, *PLAIN_ROLES)


HISTORY_ROLES = EVENT_ROLES[:2]
ITEM_ROLES = (
    # A table of items has ids beside its titles.
    replace(EVENT_ROLES[1], rarer=tuple(r for r in RARER["item"] if r != TITLES_AS_IDS)),
    Role("title", "text", TITLES, rarer=RARER["title"]),
    Role("genres", "tags", GENRES, rarer=RARER["genres"]),
)


def title_columns(columns: Sequence[str]) -> list[str]:
    """Return the columns whose names say that they hold titles."""
    return [column for column in columns if plain_name(column) in ITEM_ROLES[1].names]
