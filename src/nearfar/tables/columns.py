"""Columns: which one is the user, the item, the rating; and the values of one once parsed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

import polars as pl

from nearfar.core.errors import SchemaError, near_hint
from nearfar.tables.names import (
    COUNTING,
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
    stem,
)


@dataclass(frozen=True, eq=False)
class Parsed:
    """The values of one column.

    Attributes:
        values: typed; null where a value is missing or unreadable.
        bad: which values are there and unreadable (Boolean).
        expected: what was expected of them, for messages.
        given: the values as the table has them, for messages; None: as `values`.
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


class AmbiguousColumnError(SchemaError):
    """Several columns could have a role."""


@dataclass(frozen=True)
class Role:
    """What a column can be for.

    Attributes:
        name: how the column is called in a block of rows.
        kind: of its values.
        known: names by which it is recognised, lower case without blanks and underscores, in order
            of preference.
        n_own: how many of these are names of the role itself. Of the others only one may be there.
        required: whether a table without it is refused.
        rarer: names by which it is recognised where none of `known` is there, in groups of which
            the first that has any counts.
    """

    name: str
    kind: Kind
    known: tuple[str, ...]
    n_own: int | None = None
    required: bool = False
    rarer: tuple[tuple[str, ...], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names by which it is recognised."""
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
"""Whether an event is a view, a click, a purchase; looked for only where kinds have weights."""
PLAIN_ROLES = (
    Role("kind", "word", KIND_ROLE.known, rarer=(STATUSES, KINDS)),
    Role("status", "word", STATUSES),
    Role("outcome", "word", OUTCOMES, rarer=(OUTCOMES_ELSEWHERE,)),
    *(Role(name, "word", UNDONE) for name in ("undone", "undone_2", "undone_3")),
)
"""What tells rows that are no events, where kinds have no weights: looked at, not kept."""
IMPLIED = {"status": "kind", **dict.fromkeys(("undone", "undone_2", "undone_3"), "outcome")}
"""Roles that no column has where none is to have another."""


def event_roles(*, weighed_kinds: bool) -> tuple[Role, ...]:
    """The roles that columns of events may have.

    Args:
        weighed_kinds: whether kinds of events have weights. If so, the column of kinds is required,
            and that of outcomes is not looked at.
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
    """The columns that hold titles, going by their names."""
    return [column for column in columns if plain_name(column) in ITEM_ROLES[1].names]


@dataclass(frozen=True)
class Columns:
    """The names of a log's columns, by role.

    None leaves a role to be recognised by name; "" says that no column has it.

    Examples:
        >>> from nearfar.tables.columns import Columns
        >>> Columns(item="song").resolve(["user", "song"], "plays.csv")
        {'user': 'user', 'item': 'song'}
    """

    user: str | None = None
    item: str | None = None
    rating: str | None = None
    timestamp: str | None = None
    weight: str | None = None
    kind: str | None = None
    outcome: str | None = None

    def resolve(
        self, present: Sequence[str], where: str, roles: Sequence[Role] = EVENT_ROLES
    ) -> dict[str, str]:
        """The column of each role there is, as `resolve` finds it."""
        return resolve(present, where, roles, vars(self))


def resolve(
    present: Sequence[str],
    where: str,
    roles: Sequence[Role],
    given: Mapping[str, str | None] | None = None,
    *,
    of_text: bool = True,
) -> dict[str, str]:
    """The column of each role there is: `{"user": "userId", "item": "movieId", ...}`.

    Names are compared without case, blanks, underscores, accents and other signs.

    Args:
        present: the columns of the table.
        where: how messages name the table.
        roles: the roles wanted.
        given: names of columns by role, as far as they are given; "" for a role that no column
            has.
        of_text: whether the table is a text, whose first line may not name the columns.

    Raises:
        SchemaError: a column that could have a role is there twice, a given one is missing, or a
            required role has no column; AmbiguousColumnError, a kind of it: several columns could
            have a role.
    """
    implied = {role: "" for role, other in IMPLIED.items() if (given or {}).get(other) == ""}
    given = {role: c for role, c in {**implied, **(given or {})}.items() if c is not None}
    known = {name for role in roles if given.get(role.name) != "" for name in role.names}
    known |= set(map(plain_name, given.values()))
    counts = Counter(present)
    doubled = [c for c, n in counts.items() if n > 1 and plain_name(c) in known]
    if doubled:
        raise SchemaError(
            f"{where} has the column {doubled[0]!r} more than once; rename one of them"
            + ", or, if the first line does not name the columns, say --no-header" * of_text
        )
    result: dict[str, str] = {}
    for role in roles:
        column = given.get(role.name)
        if column is None or column == "":
            continue
        if column not in present:
            raise SchemaError(
                f"{where} has no column {column!r} for the {role.name}; "
                f"{near_hint(column, present)}it has {quoted(present)}"
                + "; to have columns called so, say --no-header"
                * bool(re.fullmatch(r"column_\d+", column))
            )
        result[role.name] = column
    for role in roles:
        if role.name not in result and given.get(role.name) != "":
            rest = [c for c in present if c not in result.values()]
            if (column := _by_name(role, rest, where)) is not None:
                result[role.name] = column
    missing = [role for role in roles if role.required and role.name not in result]
    if missing:
        names = " and no column known as the ".join(role.name for role in missing)
        raise SchemaError(
            f"{where} has no column known as the {names}; it has {quoted(present)}: "
            f"{_naming(*missing)}"
            + "; if its first line does not name the columns, say --no-header" * of_text
            + "; if other signs separate its cells, name one with --separator"
            * (of_text and len(present) == 1)
        )
    return {role.name: result[role.name] for role in roles if role.name in result}


def _naming(*roles: Role) -> str:
    """How a user names the columns of roles."""
    names = [role.name for role in roles]
    options = [OPTIONS[name] for name in names if name in OPTIONS]
    if len(options) < len(names):
        return f"call one {' and one '.join(names)}"
    them = "it" if len(names) == 1 else "them"
    shell = " and ".join(f"{option} NAME" for option in options)
    settings = ", ".join(f"{name}='NAME'" for name in names)
    return f"name {them} with {shell} (in Python and in settings: {settings})"


def _by_name(role: Role, candidates: Sequence[str], where: str) -> str | None:
    found = (_called(candidates, names) for names in (role.known, *role.rarer))
    plain = next(filter(None, found), {})
    if not plain:
        return _by_stem(role, candidates, where)
    matching = list(plain)
    alike = [c for c in candidates if plain_name(c) == matching[0]]
    if len(alike) > 1:
        raise AmbiguousColumnError(
            f"{where}: {quoted(alike)} could each be the {role.name}; {_naming(role)}"
        )
    if role.n_own is not None and len(matching) > 1 and matching[0] not in role.known[: role.n_own]:
        raise AmbiguousColumnError(
            f"{where}: {quoted([plain[name] for name in matching])} could each be the "
            f"{role.name}; {_naming(role)}"
        )
    return plain[matching[0]]


def _by_stem(role: Role, candidates: Sequence[str], where: str) -> str | None:
    """The column that has a role's name beside a word such as "code": "cod_produto"."""
    if role.kind not in ("id", "time"):
        return None
    alike = [c for c in candidates if stem(c, ids=role.kind == "id") in role.names]
    if len(alike) > 1:
        raise AmbiguousColumnError(
            f"{where}: {quoted(alike)} could each be the {role.name}; {_naming(role)}"
        )
    return alike[0] if alike else None


def _called(candidates: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """The columns of these names, by name, in the order of the names.

    A nested value ("properties.product_id") is known by the end of its path, where no column is
    known by its whole name.
    """
    plain = {plain_name(c): c for c in reversed(candidates)}
    found = {name: plain[name] for name in names if name in plain}
    if found:
        return found
    ends = {
        plain_name(".".join(parts[at:])): c
        for c in reversed(candidates)
        for parts in (c.split("."),)
        for at in reversed(range(1, len(parts)))
        if plain_name(parts[0]) not in COUNTING
    }
    return {name: ends[name] for name in names if name in ends}


def quoted(names: Sequence[str]) -> str:
    """Names for a message, at most a hundred of them."""
    shown = ", ".join(repr(n) for n in names[:100])
    return shown if len(names) <= 100 else f"{shown} and {len(names) - 100} more"
