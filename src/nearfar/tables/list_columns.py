"""Choose the columns of roles where rows are made of lists, one inside another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from nearfar.tables.columns import ambiguous, resolve
from nearfar.tables.names import plain_name
from nearfar.tables.reader import TableReader
from nearfar.tables.roles import Role
from nearfar.tables.time_names import EVENTS

TIMES = frozenset(("timestamp", "time", "date"))
PER_ITEM = ("rating", "weight")


def columns_by_role(
    table: TableReader, roles: Sequence[Role], given: Mapping[str, str | None]
) -> dict[str, str]:
    """Return the column of each role, of which a value belongs to each event.

    A value beside the list of all events, such as the status of an answer, has no role. A number
    beside the list of a user's items is no rating or weight of each item. Values in another list,
    or in a list of each event, such as the states of an order, would multiply the events.

    Raises:
        SchemaError: as for `resolve`; also if both the user and the entries of lists beside it have
            a column of users.
    """
    columns = resolve(table.columns, table.where, roles, given, of_text=bool(table.layout))
    if not table.lists:
        return columns
    ids = {role: columns[role] for role in ("user", "item") if role in columns}
    if given.get("user") is None:
        _refuse_inner_user(table, ids, roles)
    named = {*ids.values(), *given.values()}
    elsewhere = {c for c in table.columns if _is_in_another_list(table, c, ids)} - named

    def without_columns_around(*anchors: str) -> dict[str, str]:
        around = {
            c for c in table.columns for a in anchors if table.is_around(c, ids.get(a, ""))
        } - named
        candidates = [c for c in table.columns if c not in around | elsewhere]
        return resolve(candidates, table.where, roles, {**given, **ids})

    by_event = without_columns_around("user")
    by_item = without_columns_around("user", "item")
    nearest_time = by_item.get("timestamp", "")
    if table.lists.get(nearest_time) == table.lists.get(ids.get("item", ""), ()):
        by_event["timestamp"] = nearest_time
    return {role: c for role, c in by_event.items() if role not in PER_ITEM} | {
        role: c for role, c in by_item.items() if role in PER_ITEM
    }


def _is_in_another_list(table: TableReader, column: str, ids: Mapping[str, str]) -> bool:
    """Return whether a column has several values for an event, or values of other events.

    Lists of values beside each other are columns of one table: {"items": [7, 9], "times": [1, 2]}.
    A list of a name for events ("events", "plays", "timestamps") in each item holds its events.
    """
    lists = table.lists.get(column, ())
    event_column = max(ids.values(), key=lambda c: len(table.lists.get(c, ())), default="")
    around = table.lists.get(event_column, ())
    if lists == around[: len(lists)]:
        return False
    if lists[: len(around)] == around:
        names = [plain_name(keys[-1]).removesuffix("s") for keys in lists[len(around) :] if keys]
        return not any(name in EVENTS or name in TIMES for name in names)
    parallel = {column, event_column} <= set(table.listed_values)
    return not (parallel and len(lists) == len(around) and lists[:-1] == around[:-1])


def _refuse_inner_user(table: TableReader, ids: Mapping[str, str], roles: Sequence[Role]) -> None:
    """Raise if the user stands around lists whose entries have a user too.

    The outer one may be who asked a service for the events of others.
    """
    user = ids.get("user", "")
    inner = [c for c in table.columns if c != ids.get("item") and table.is_around(user, c)]
    for role in roles:
        if user and role.name == "user":
            own_names = replace(role, required=False, rarer=())
            if found := resolve(inner, table.where, [own_names]):
                raise ambiguous([user, found["user"]], role, table.where)


def columns_beside_items(table: TableReader, columns: Mapping[str, str]) -> list[str]:
    """Return the columns with one value for each event, also where lists hold the events."""
    user, item = columns.get("user", ""), columns.get("item", "")
    around = table.lists.get(item, ())
    return [
        c
        for c in table.columns
        if (table.lists.get(c, ()) == around or table.is_around(c, item))
        and not table.is_around(c, user)
    ]
