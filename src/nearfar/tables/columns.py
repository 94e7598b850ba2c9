"""Find the column of each role (user, item, rating, ...) by its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from nearfar.core.errors import EmptyDataError, SchemaError, SettingsError, near_hint
from nearfar.tables.contradiction_columns import UNDO_STEMS
from nearfar.tables.names import COUNTING, OLD_STATES, ROW_TIME, plain_name, stem
from nearfar.tables.roles import EVENT_ROLES, IMPLIED, OPTIONS, Role
from nearfar.tables.time_names import ENTRIES, EVENTS, times_of, without_note

WIDE, FEW_NUMBERED = 30, 3
"""Tables with more columns, or so many numbered ones, may be matrices of users x items."""


class AmbiguousColumnError(SchemaError):
    """Several columns could have a role."""


@dataclass(frozen=True)
class Columns:
    """The names of a log's columns, by role.

    None: find the column by its usual names. "": no column has the role.

    Raises:
        SettingsError: one column is the user and the item, or one of them and the timestamp.

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

    def __post_init__(self) -> None:
        names = [name for name in (self.user, self.item, self.timestamp) if name]
        if twice := [name for name, n in Counter(names).items() if n > 1]:
            raise SettingsError(
                f"columns: user is {self.user!r}, item {self.item!r}, timestamp "
                f"{self.timestamp!r}; different columns were expected, not {twice[0]!r} twice"
            )

    def resolve(
        self, present: Sequence[str], where: str, roles: Sequence[Role] = EVENT_ROLES
    ) -> dict[str, str]:
        """Return the column of each role; see the function `resolve`."""
        return resolve(present, where, roles, vars(self))

    def spelled_as(self, present: Sequence[str]) -> Columns:
        """Return the names as a table spells them: "User_ID" for "user_id" if only that exists."""
        spellings: dict[str, list[str]] = {}
        for column in present:
            spellings.setdefault(plain_name(column), []).append(column)

        def spelled(name: str | None) -> str | None:
            alike = spellings.get(plain_name(name), []) if name and name not in present else []
            return alike[0] if len(alike) == 1 else name

        return Columns(**{role: spelled(name) for role, name in vars(self).items()})


def resolve(
    present: Sequence[str],
    where: str,
    roles: Sequence[Role],
    given: Mapping[str, str | None] | None = None,
    *,
    of_text: bool = True,
) -> dict[str, str]:
    """Return the column of each role: `{"user": "userId", "item": "movieId", ...}`.

    Names are compared without case, blanks, underscores, accents and other signs.

    Args:
        present: the columns of the table.
        where: the table's name in messages.
        roles: the roles to look for.
        given: the column names that the caller set, by role; "" for a role without a column.
        of_text: whether the table is text, so that its first line may not be a header.

    Raises:
        EmptyDataError: the table has no columns.
        SchemaError: a column that could have a role is there twice, a given column is missing, or
            a required role has no column. AmbiguousColumnError, a subclass: several columns could
            have a role.
    """
    if not present and any(role.required for role in roles):
        raise EmptyDataError(f"{where} has no columns; rows with a user and an item were expected")
    implied = {role: "" for role, other in IMPLIED.items() if (given or {}).get(other) == ""}
    given = {role: c for role, c in {**implied, **(given or {})}.items() if c is not None}
    known = {name for role in roles if given.get(role.name) != "" for name in role.names}
    known |= set(map(plain_name, given.values()))
    counts = Counter(present)
    duplicates = [c for c, n in counts.items() if n > 1 and plain_name(c) in known]
    if duplicates:
        raise SchemaError(
            f"{where} has the column {duplicates[0]!r} more than once; rename one of them"
            + ", or, if the first line is not a header, set --no-header" * of_text
        )
    hits = {c.partition("_source.")[0] for c in present if re.search(r"(?:^|\.)_source\.", c)}
    named_by_search = [  # other "_" columns describe the hit
        c
        for c in present
        if any(c.startswith(hit + "_") and not c.startswith(hit + "_source.") for hit in hits)
    ]
    result: dict[str, str] = {}
    for role in roles:
        column = given.get(role.name)
        if column is None or column == "":
            continue
        if column not in present:
            raise SchemaError(
                f"{where} has no column {column!r} for the {role.name}; "
                f"{near_hint(column, present)}it has {quoted(present)}"
                + "; to name columns so, set --no-header"
                * bool(re.fullmatch(r"column_\d+", column))
            )
        result[role.name] = column
    for role in roles:
        if role.name not in result and given.get(role.name) != "":
            unassigned = [c for c in present if c not in (*result.values(), *named_by_search)]
            column = _time_of_event(role, unassigned, result, where)
            if column is None:
                column = _by_name(role, unassigned, where)
            if column is not None:
                result[role.name] = column
    missing = [role for role in roles if role.required and role.name not in result]
    if missing:
        names = " and no column known as the ".join(role.name for role in missing)
        raise SchemaError(
            f"{where} has no column known as the {names}; it has {quoted(present)}: "
            f"{_how_to_name(*missing)}"
            + "; if its first line is not a header, set --no-header" * of_text
            + "; if another sign separates its cells, set it with --separator"
            * (of_text and len(present) == 1)
            + "; if each column is an item, write one row per user and item first (pandas: melt)"
            * (len(present) > WIDE or _n_numbered(present) >= FEW_NUMBERED)
        )
    return {role.name: result[role.name] for role in roles if role.name in result}


def _n_numbered(columns: Sequence[str]) -> int:
    """Return the number of columns such as "9001", or "item_1", "item_2" and "item_3"."""
    names = (re.fullmatch(r"(.*?)[ _.-]?\d+", column.strip()) for column in columns)
    return max(Counter(name[1].lower() for name in names if name).values(), default=0)


def ambiguous(columns: Sequence[str], role: Role, where: str) -> AmbiguousColumnError:
    """Return the error for several columns that could have a role; it says how to name one."""
    return AmbiguousColumnError(
        f"{where}: {quoted(columns)} could each be the {role.name}; {_how_to_name(role)}"
    )


def _how_to_name(*roles: Role) -> str:
    """Return the advice that tells the user how to name the columns of roles."""
    names = [role.name for role in roles]
    options = [OPTIONS[name] for name in names if name in OPTIONS]
    if len(options) < len(names):
        return f"call one {' and one '.join(names)}"
    them = "it" if len(names) == 1 else "them"
    shell = " and ".join(f"{option} NAME" for option in options)
    settings = ", ".join(f"{name}='NAME'" for name in names)
    return f"name {them} with {shell} (in Python and in settings: {settings})"


def _time_of_event(
    role: Role, candidates: Sequence[str], columns: Mapping[str, str], where: str
) -> str | None:
    """Return the time beside the user and the item in one nested object ("value.ts").

    A time around that object, such as "timestamp" of a message queue, may be that of the delivery.
    """
    if role.kind != "time" or not {"user", "item"} <= set(columns):
        return None
    objects = {c.rpartition(".")[0] for c in candidates} - {""}
    around = [
        o for o in objects if all(columns[id_].startswith(f"{o}.") for id_ in ("user", "item"))
    ]
    event = max(around, key=len, default=None)
    beside = [c for c in candidates if c.rpartition(".")[0] == event]
    known = tuple(name for name in role.known if name != ROW_TIME)
    return _by_name(replace(role, known=known, rarer=()), beside, where)


def _by_name(role: Role, candidates: Sequence[str], where: str) -> str | None:
    named: list[tuple[str, ...] | frozenset[str]] = [role.known, *role.rarer]
    if role.kind == "time":
        named[:1] = [tuple(name for name in role.known if name != ROW_TIME), EVENTS]
        named[2:2] = [(ROW_TIME,), ENTRIES] if ROW_TIME in role.known else []
    groups = (_columns_named(candidates, role, names, where) for names in named)
    by_name = next(filter(None, groups), {})
    if not by_name:
        return _by_stem(role, candidates, where)
    matching = list(by_name)
    alike = [c for c in candidates if plain_name(c) == matching[0]]
    if len(alike) > 1:
        raise ambiguous(alike, role, where)
    if role.n_own is not None and len(matching) > 1 and matching[0] not in role.known[: role.n_own]:
        raise ambiguous([by_name[name] for name in matching], role, where)
    return by_name[matching[0]]


def _by_stem(role: Role, candidates: Sequence[str], where: str) -> str | None:
    """Return the column whose name is the role's name and a word such as "code": "cod_produto"."""
    if role.kind not in ("id", "time"):
        return None
    alike = [c for c in candidates if stem(c, ids=role.kind == "id") in role.names]
    if len(alike) > 1:
        raise ambiguous(alike, role, where)
    return alike[0] if alike else None


def _columns_named(
    candidates: Sequence[str], role: Role, names: Sequence[str] | frozenset[str], where: str
) -> dict[str, str]:
    """Return the columns with these names of a role, by name, in the order of the names.

    If no column matches, a nested column ("properties.product_id") matches by the end of its path,
    and a name with a note ("Event time (UTC)") without the note. Of words for events, the only
    column that is the time of one matches ("event_ts").

    Raises:
        AmbiguousColumnError: several paths have the same end, and none of them is nearer the role.
    """
    if isinstance(names, frozenset):
        times = times_of(names, candidates)
        return {plain_name(times[0]): times[0]} if len(times) == 1 else {}
    columns = {plain_name(c): c for c in reversed(candidates)}
    matches = {name: columns[name] for name in names if name in columns}
    if matches:
        return matches
    ends: dict[str, list[str]] = {}
    noted = Counter(without_note(column) for column in candidates)
    for column in candidates:
        parts = without_note(column).split(".")
        if parts != column.split(".") and (role.required or noted[".".join(parts)] == 1):
            ends.setdefault(plain_name(".".join(parts)), []).append(column)
        if plain_name(parts[0]) not in COUNTING:
            for at in range(1, len(parts)):
                ends.setdefault(plain_name(".".join(parts[at:])), []).append(column)
    return {name: _nearest(ends[name], role, where) for name in names if name in ends}


def _nearest(paths: Sequence[str], role: Role, where: str) -> str:
    """Return the one of several paths with the same end whose parent is of the role.

    "buyer.user_id" is nearer the user than "seller.user_id", "order.created_at" nearer the time of
    an event than "user.created_at", and "after.user_id" is what a change left. "line_items.sku" is
    nearer than "refunds.line_items.sku", and so is any path with fewer keys around the same ones.

    Raises:
        AmbiguousColumnError: several are equally near.
    """
    remaining = list(dict.fromkeys(paths))
    parents = {path: [plain_name(part) for part in path.split(".")[:-1]] for path in remaining}
    own = set(role.names)
    others = {name for other in EVENT_ROLES if other.name != role.name for name in other.names}
    for is_near in (
        lambda words: not any(word in OLD_STATES for word in words),
        lambda words: not any(map(UNDO_STEMS.search, words)),
        lambda words: words[-1:] and words[-1] in own,
        lambda words: not any(word in others for word in words),
    ):
        near = [path for path in remaining if is_near(parents[path])]
        remaining = near or remaining
    far = {a for a in remaining for b in remaining if _has_more_keys(parents[a], parents[b])}
    remaining = [path for path in remaining if path not in far]
    if len(remaining) > 1:
        raise ambiguous(remaining, role, where)
    return remaining[0]


def _has_more_keys(words: Sequence[str], others: Sequence[str]) -> bool:
    """Return whether a path has all keys of another one, in their order, and more."""
    keys = iter(words)
    return len(words) > len(others) and all(word in keys for word in others)


def quoted(names: Sequence[str]) -> str:
    """Return names for a message, at most a hundred of them."""
    listed = ", ".join(repr(n) for n in names[:100])
    return listed if len(names) <= 100 else f"{listed} and {len(names) - 100} more"
