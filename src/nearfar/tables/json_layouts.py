"""Make rows of one JSON object that holds a whole table, such as pandas' layouts."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nearfar.tables.names import OUTCOMES, UNDONE, plain_name
from nearfar.tables.roles import EVENT_ROLES, ITEM_ROLES

Row = dict[str, Any]
KNOWN = frozenset(name for role in (*EVENT_ROLES, *ITEM_ROLES) for name in role.names)

USER_NAMES, ITEM_NAMES = (frozenset(role.names) for role in EVENT_ROLES[:2])
KIND_NAMES = frozenset((*OUTCOMES, *UNDONE))
"""Keys of lists of events of one kind ("liked", "returned"), which are no users."""

MAX_KEYS = 5_000
"""With more keys, an object is no row."""


class LayoutError(ValueError):
    """An object cannot be read: it has a key more than once, or too many keys."""


def rows_of(text: bytes) -> tuple[list[Row], str] | None:
    """Return the rows of a table in one object, with the layout in words; None for other objects.

    Numbers stay as they are written, as text.

    Args:
        text: the JSON of the object.

    Raises:
        LayoutError: a key is there more than once, or an object has too many keys to be a row.
    """
    table = json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=_once)
    for layout, words in LAYOUTS.items():
        if (rows := layout(table)) is not None:
            return rows, words
    inner = [value for value in table.values() if isinstance(value, dict)]
    if (n_keys := max(map(len, [table, *inner]))) > MAX_KEYS:
        raise LayoutError(
            f"an object with {n_keys:,} keys, as if they were users or items; write an object per "
            "event, with the user and the item as values"
        )
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in result if keys.count(key) > 1)
        raise LayoutError(f"an object has the key {repeated!r} more than once; write each key once")
    return result


def _split(table: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of {"columns": ["user", "item"], "data": [[1, 2], ...]}."""
    columns, data = table.get("columns", ()), table.get("data", ())
    if not (_is_list_of(columns, str) and _is_list_of(data, list)):
        return None
    if any(len(values) != len(columns) for values in data):
        return None
    return [dict(zip(columns, values, strict=True)) for values in data]


def _columns(table: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of {"user": {"0": 1, "1": 1}, "item": {"0": 2, "1": 3}}."""
    if not _same_keys(table) or not (_is_known(table) or _numbered(next(iter(table.values())))):
        return None
    return [
        dict(zip(table, values, strict=True))
        for values in zip(*(column.values() for column in table.values()), strict=True)
    ]


def _index(table: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of {"0": {"user": 1, "item": 2}, "1": {"user": 1, "item": 3}}."""
    if not _same_keys(table):
        return None
    rows = list(table.values())
    if _numbered(table):
        return rows
    # Two objects may be the states of a row, such as "before" and "after".
    if len(table) < 3 or not _is_known(rows[0]) or _is_known(table):
        return None
    return [{"index": key, **row} for key, row in table.items()]


def _lists_by_user(table: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of {"ann": ["matrix", "heat"], "bob": ["heat"]}."""
    lists = list(table.values())
    if len(table) < 2 or _is_known(table) or not all(_is_list_of(v, str) for v in lists):
        return None
    if not _recur(lists):
        return None
    return [{"user": user, "item": item} for user, items in table.items() for item in items]


def _events_by_user(table: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of {"ann": [{"item": 7, "time": 1}], "bob": [{"item": 9, "time": 2}]}."""
    if len(table) < 3 or _is_known(table) or not KIND_NAMES.isdisjoint(map(plain_name, table)):
        return None
    if not all(_is_list_of(events, dict) for events in table.values()):
        return None
    keys = {plain_name(key) for events in table.values() for event in events for key in event}
    if not keys & ITEM_NAMES or keys & USER_NAMES:
        return None
    return [{"user": user, **event} for user, events in table.items() for event in events]


def _ratings_by_user(table: Mapping[str, Any]) -> list[Row] | None:
    """Return the rows of {"ann": {"matrix": 5, "heat": 4}, "bob": {"heat": 2}}."""
    ratings = list(table.values())
    if len(table) < 2 or _is_known(table) or not all(_is_object_of_numbers(r) for r in ratings):
        return None
    if _same_keys(table) or any(map(_is_known, ratings)) or not _recur(ratings):
        return None
    return [
        {"user": user, "item": item, "rating": rating}
        for user, by_item in table.items()
        for item, rating in by_item.items()
    ]


LAYOUTS: dict[Callable[[Mapping[str, Any]], list[Row] | None], str] = {
    _split: "a list of column names and a list of rows",
    _columns: "an object per column",
    _index: "an object per row, by its index",
    _lists_by_user: "lists of items, whose keys count as users",
    _events_by_user: "lists of events, whose keys count as users",
    _ratings_by_user: "ratings by item, in objects whose keys count as users",
}
"""The layouts, with words for messages."""


def _is_list_of(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(isinstance(entry, kind) for entry in value)


def _is_object_of_numbers(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    return all(isinstance(v, str) and v[:1] in "-0123456789" for v in value.values())


def _same_keys(table: Mapping[str, Any]) -> bool:
    """Return whether all values are objects of single values with the same keys."""
    values = list(table.values())
    if not values or not all(isinstance(value, dict) and value for value in values):
        return False
    keys = values[0].keys()
    return all(
        value.keys() == keys and not any(isinstance(v, dict | list) for v in value.values())
        for value in values
    )


def _is_known(keys: Mapping[str, Any]) -> bool:
    """Return whether a key is the usual name of a column."""
    return any(plain_name(key) in KNOWN for key in list(keys)[:100])


def _numbered(keys: Mapping[str, Any]) -> bool:
    """Return whether the keys are numbers of rows."""
    return all(key.isdecimal() for key in keys)


def _recur(collections: Sequence[Sequence[str] | Mapping[str, Any]]) -> bool:
    """Return whether several collections have the same entries, as users share items."""
    return len(set().union(*collections)) < sum(map(len, collections))
