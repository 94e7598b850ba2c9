"""What looks odd about a log: said when it is read, and left as it is."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import numpy as np

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log
from nearfar.data.filters import Filters, remark_on_robots
from nearfar.data.id_remarks import remark_on_shared, remark_on_totals, remarks_on_ids

FEW = 20
A_DAY = 86_400
EARLY = datetime(1995, 1, 1, tzinfo=UTC)
"""Before the logs of the web."""


def remarks_on(log: Log, filters: Filters) -> list[str]:
    """What there is to say of a log that was just read.

    Args:
        log: with its repeated events.
        filters: that were asked for.
    """
    if not log.n_events:
        return []
    counts = np.bincount(log.users, minlength=log.n_users)
    popularity = np.bincount(log.items_met, minlength=log.n_items)
    found = [
        remark_on_robots(log.user_ids, counts),
        remark_on_shared("user", log.user_ids, counts),
        remark_on_shared("item", log.item_ids, popularity),
        _totals("user", log.user_ids, counts),
        _totals("item", log.item_ids, popularity),
        *remarks_on_ids("user", log.user_ids.ids),
        *remarks_on_ids("item", log.item_ids.ids),
        _once("user", log),
        _once("item", log),
        _ratings(log, filters),
        _past(log),
        _future(log),
    ]
    return [remark for remark in found if remark]


def _totals(role: str, ids: Vocabulary, counts: np.ndarray) -> str:
    return remark_on_totals(role, ids.ids, lambda totals: int(counts[ids.index(totals)].sum()))


def _once(role: str, log: Log) -> str:
    n_ids = log.n_users if role == "user" else log.n_items
    if n_ids < log.n_events or n_ids < FEW or log.read is None:
        return ""
    column = log.read.columns.get(role, role)
    return (
        f"every {role} has one event only; is {column!r} the {role}, or does it number events or "
        "orders?"
    )


def _ratings(log: Log, filters: Filters) -> str:
    if not log.has("rating") or filters.min_rating is not None:
        return ""
    ratings = log.events["rating"].to_numpy()
    low, high = float(ratings.min()), float(ratings.max())
    if low == high:
        return ""
    n_low = int((ratings == low).sum())
    return (
        f"ratings of {low:g} to {high:g} all count as interactions ({n_low:,} of them are "
        f"{low:g}); keep the good ones with --min-rating"
    )


def _past(log: Log) -> str:
    if not log.has("timestamp") or log.read is None or log.read.counts_steps:
        return ""
    times = log.events["timestamp"]
    n_early = int((times < int(EARLY.timestamp())).sum())
    if not n_early:
        return ""
    if n_early == len(times):
        return (
            f"all times are from {_day(times.min())} to {_day(times.max())}; if that is too early, "
            "say what the numbers count with --time-unit or how dates are written with "
            "--time-format"
        )
    return (
        f"{n_early:,} times are before {EARLY:%Y}, the first is {_day(times.min())}; if they stand "
        f"for missing ones, --since {EARLY:%Y-%m-%d} leaves them out"
    )


def _day(seconds: object) -> str:
    assert isinstance(seconds, int)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:,} s"


def _future(log: Log) -> str:
    if not log.has("timestamp") or log.read is None or log.read.counts_steps:
        return ""
    n_late = int((log.events["timestamp"] > time.time() + A_DAY).sum())
    return f"{n_late:,} times are in the future; --until leaves them out" if n_late else ""
