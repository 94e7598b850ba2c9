"""Remarks on what looks wrong in a log. The log itself is not changed."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np
import polars as pl

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log
from nearfar.data.filters import Filters, remark_on_robots
from nearfar.data.id_remarks import remark_on_shared, remark_on_totals, remarks_on_ids
from nearfar.data.popularity_shift import remark_on_popularity_shift
from nearfar.tables.names import plain_name, words
from nearfar.tables.roles import HISTORY_ROLES

FEW, FEWEST = 20, 5
HIGHEST_COUNT = 200
MANY_REPEATED, MIN_EVENTS, MAX_EVENTS = 0.5, 1_000, 1_000_000
A_DAY = 86_400
EARLY = datetime(1995, 1, 1, tzinfo=UTC)
"""No log of the web is older."""
HEADER_WORDS = frozenset(
    (
        *words("id code key number no nr name text string str varchar char object int integer"),
        *words("bigint int64 int32 int16 int8 uint64 uint32 uint16 uint8 long uuid bool boolean"),
        *words("float float64 float32 double number decimal"),
        *(name for role in HISTORY_ROLES for name in role.names),
    )
)
"""Words for a column or its type, in the form of `plain_name`."""


def remarks_on(log: Log, filters: Filters) -> list[str]:
    """Return remarks on a log that was just read.

    Args:
        log: the log with its repeated events.
        filters: the filters that the user set.
    """
    if not log.n_events:
        return []
    counts = np.bincount(log.users, minlength=log.n_users)
    popularity = np.bincount(log.item_positions, minlength=log.n_items)
    remarks = [
        remark_on_robots(log.user_ids, counts),
        remark_on_shared("user", log.user_ids, counts),
        remark_on_shared("item", log.item_ids, popularity),
        _total_lines("user", log.user_ids, counts),
        _total_lines("item", log.item_ids, popularity),
        _header_lines(log),
        *remarks_on_ids("user", log.user_ids.ids),
        *remarks_on_ids("item", log.item_ids.ids),
        _single_events("user", log),
        _single_events("item", log),
        _few_ids("user", log.n_users, log.n_items, log),
        _few_ids("item", log.n_items, log.n_users, log),
        _counts("user", log.user_ids, log),
        _counts("item", log.item_ids, log),
        _repeated_events(log),
        _low_ratings(log, filters),
        _early_times(log),
        _future_times(log),
        remark_on_popularity_shift(log, filters),
    ]
    return [remark for remark in remarks if remark]


def _total_lines(role: str, ids: Vocabulary, counts: np.ndarray) -> str:
    return remark_on_totals(role, ids.ids, lambda totals: int(counts[ids.index(totals)].sum()))


def _header_lines(log: Log) -> str:
    """Return a remark on rows whose user and item are both words for a column or its type."""
    rows = log.events.select("user", "item")
    for role, ids in (("user", log.user_ids.ids), ("item", log.item_ids.ids)):
        if ids.dtype != pl.String:
            return ""
        plain = ids.str.to_lowercase().str.replace_all(r"[\W_]", "")
        at = plain.is_in(list(HEADER_WORDS)).arg_true()
        rows = rows.filter(pl.col(role).is_in(at.implode()))
        if not rows.height:
            return ""
    user, item = log.user_ids.ids[rows["user"][0]], log.item_ids.ids[rows["item"][0]]
    return (
        f"{rows.height:,} rows such as that of user {user!r} and item {item!r} may be lines of a "
        "header; if so, remove them, because they count as interactions"
    )


def _single_events(role: str, log: Log) -> str:
    n_ids = log.n_users if role == "user" else log.n_items
    if n_ids < log.n_events or n_ids < FEW or log.read is None:
        return ""
    column = log.read.columns.get(role, role)
    return (
        f"every {role} has only one event; check that {column!r} is the {role} and not a number "
        "of events or orders"
    )


def _few_ids(role: str, n_ids: int, n_others: int, log: Log) -> str:
    """Return a remark on a column that may be a shop or a program instead of the user or item."""
    is_few = n_ids == 1 or (n_ids <= FEWEST and n_others >= FEW * n_ids)
    if not is_few or log.n_events < FEW or log.read is None:
        return ""
    column = log.read.columns.get(role, role)
    ids = f"one {role}" if n_ids == 1 else f"{n_ids} {role}s"
    return f"all {log.n_events:,} events are of {ids}; check that {column!r} is the {role}"


def _counts(role: str, ids: Vocabulary, log: Log) -> str:
    """Return a remark on a column with a plural name that may hold numbers of users or items."""
    column = "" if log.read is None else log.read.columns.get(role, "")
    is_plural = plain_name(column.rpartition(".")[2]).endswith("s")
    if not is_plural or not ids.is_integer or log.n_events < FEW or log.read is None:
        return ""
    low, high = (int(x) for x in (ids.ids.min(), ids.ids.max()))  # pyright: ignore[reportArgumentType]
    holds_lists = any(column in line and " hold" in line for line in log.read.remarks)
    if holds_lists or low < 0 or high > HIGHEST_COUNT or log.n_events < 3 * len(ids):
        return ""
    return (
        f"{column!r} holds numbers from {low} to {high}; check that they are ids of {role}s and "
        f"not how many {role}s there are"
    )


def _repeated_events(log: Log) -> str:
    """Return a remark if most events repeat an item of the same user, as purchases of food do.

    Of a large log every k-th user is examined.
    """
    every = -(-log.n_events // MAX_EVENTS)
    pairs = log.users.astype(np.int64) * log.n_items + log.item_positions
    pairs = pairs[log.users % every == 0]
    share = 1 - len(np.unique(pairs)) / max(len(pairs), 1)
    if share < MANY_REPEATED or log.n_events < MIN_EVENTS:
        return ""
    return (
        f"{share:.0%} of the events repeat an item of the same user; each counts once, and "
        "recommendations and measurements leave out items of the history; if people come back for "
        "the same items, recommend these too with --include-seen"
    )


def _low_ratings(log: Log, filters: Filters) -> str:
    if not log.has("rating") or filters.min_rating is not None:
        return ""
    ratings = log.events["rating"].to_numpy()
    low, high = float(ratings.min()), float(ratings.max())
    if low == high:
        return ""
    n_low = int((ratings == low).sum())
    return (
        f"ratings from {low:g} to {high:g} all count as interactions ({n_low:,} of them are "
        f"{low:g}); keep only the high ones with --min-rating"
    )


def _early_times(log: Log) -> str:
    if not log.has("timestamp") or log.read is None or log.read.counts_steps:
        return ""
    times = log.events["timestamp"]
    n_early = int((times < int(EARLY.timestamp())).sum())
    if not n_early:
        return ""
    if n_early == len(times):
        return (
            f"all times are from {_day(times.min())} to {_day(times.max())}; if that is too early, "
            "set the unit of the numbers with --time-unit or the format of the dates with "
            "--time-format"
        )
    return (
        f"{n_early:,} times are before {EARLY:%Y}, the first is {_day(times.min())}; if they "
        f"mean that the time is missing, leave them out with --since {EARLY:%Y-%m-%d}"
    )


def _day(seconds: object) -> str:
    assert isinstance(seconds, int)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:,} s"


def _future_times(log: Log) -> str:
    if not log.has("timestamp") or log.read is None or log.read.counts_steps:
        return ""
    n_late = int((log.events["timestamp"] > time.time() + A_DAY).sum())
    return f"{n_late:,} times are in the future; leave them out with --until" if n_late else ""
