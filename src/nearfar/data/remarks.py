"""What looks odd about a log: said when it is read, and left as it is."""

from __future__ import annotations

import time

import numpy as np

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log
from nearfar.data.filters import Filters, remark_on_robots

STAND_FOR_MANY = (
    "guest", "anonymous", "anon", "anonym", "unknown", "unregistered", "nobody", "visitor",
    "default", "test", "user", "gast", "invitado", "00000000-0000-0000-0000-000000000000",
)  # fmt: skip
"""Users' ids, in lower case, under which programs put everybody without an account."""
FEW = 20
MANY_TIMES = 5
A_DAY = 86_400


def remarks_on(log: Log, filters: Filters) -> list[str]:
    """What there is to say of a log that was just read.

    Args:
        log: with its repeated events.
        filters: that were asked for.
    """
    if not log.n_events:
        return []
    counts = np.bincount(log.users, minlength=log.n_users)
    found = [
        remark_on_robots(log.user_ids, counts),
        _shared_account(log.user_ids, counts),
        _case("user", log.user_ids),
        _case("item", log.item_ids),
        _once("user", log),
        _once("item", log),
        _ratings(log, filters),
        _future(log),
    ]
    return [remark for remark in found if remark]


def _shared_account(users: Vocabulary, counts: np.ndarray) -> str:
    median = float(np.median(counts))
    if users.ids.dtype.is_integer():
        odd = [0, -1]
    else:
        odd = users.ids.filter(users.ids.str.to_lowercase().is_in(STAND_FOR_MANY)).to_list()
    places = users.index(odd) if odd else []
    found = [(name, int(counts[at])) for name, at in zip(odd, places, strict=True) if at >= 0]
    if users.ids.dtype.is_integer():
        found = [(name, n) for name, n in found if n >= MANY_TIMES * median and n == counts.max()]
    return "; ".join(
        f"user {name!r} has {n:,} events and may stand for many without an account; if so, empty "
        "the id in these rows and leave them out with --drop-bad-rows, or use --max-user"
        for name, n in found
    )


def _case(role: str, ids: Vocabulary) -> str:
    if ids.ids.dtype.is_integer():
        return ""
    n_alike = len(ids) - ids.ids.str.to_lowercase().n_unique()
    return f"{n_alike:,} {role} ids differ from another by case only and are kept apart" * (
        n_alike > 0
    )


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


def _future(log: Log) -> str:
    if not log.has("timestamp") or log.read is None or log.read.counts_steps:
        return ""
    n_late = int((log.events["timestamp"] > time.time() + A_DAY).sum())
    return f"{n_late:,} times are in the future; --until leaves them out" if n_late else ""
