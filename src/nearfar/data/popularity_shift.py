"""Remark on a log in which other items are popular at its end than over the whole of it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from nearfar.data.events import Log
from nearfar.data.filters import Filters

MAX_EVENTS = 1_000_000
MIN_EVENTS = 1_000
MIN_DAYS = 14
A_DAY = 86_400
TOP = 20
"""Number of most popular items; a tenth of the items if these are fewer than 200."""
HALVINGS = 6
MIN_RATIO, MIN_GAIN = 2.0, 0.1
"""The gain is at most .01 on MovieLens-1M and -100K and on logs whose times are random. It is .17
and more where items are in demand for a week."""


def remark_on_popularity_shift(log: Log, filters: Filters) -> str:
    """Return a remark if recent popularity predicts the last events far better than that of all.

    No algorithm sees times. Where items are in demand for days, a model of the whole log recommends
    those of the past; one of recent events may be many times better.

    The last tenth of the events is compared with the most popular items of all events before it,
    and of their last half, quarter and so on. Larger logs are sampled at equal steps.
    """
    if not log.has("timestamp") or log.read is None or log.read.counts_steps or filters.since:
        return ""
    step = -(-log.n_events // MAX_EVENTS)
    times = log.events["timestamp"].to_numpy()[::step]
    if len(times) < MIN_EVENTS or np.ptp(times) < MIN_DAYS * A_DAY:
        return ""
    order = np.argsort(times, kind="stable")
    items, times = log.item_positions[::step][order], times[order]
    n_before = len(items) - len(items) // 10
    last = np.bincount(items[n_before:], minlength=log.n_items) / (len(items) - n_before)
    n_top = max(1, min(TOP, log.n_items // 10))

    def share(start: int) -> float:
        counts = np.bincount(items[start:n_before], minlength=log.n_items)
        return float(last[np.argsort(-counts, kind="stable")[:n_top]].sum())

    of_all = share(0)
    starts = [n_before - n_before // 2**k for k in range(1, HALVINGS + 1)]
    best = max(starts, key=share)
    recent = share(best)
    if recent < MIN_RATIO * of_all or recent - of_all < MIN_GAIN:
        return ""
    day = f"{datetime.fromtimestamp(int(times[best]), UTC):%Y-%m-%d}"
    return (
        f"what is popular changes: of the last tenth of the events {of_all:.1%} are of the {n_top} "
        f"items most popular before, {recent:.1%} of those most popular since {day}; a model of "
        f"recent events may be much better: try --since {day} and later days (in a pipeline "
        "window_days), and compare on a split by time (nearfar data split --protocol time)"
    )
