"""Remark on a log in which other items are popular at its end than over the whole of it."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl

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
    """Return a remark if recent popularity predicts the last events of a log far better.

    No algorithm sees times. Where items are in demand for days, a model of the whole log recommends
    those of the past; one of recent events may be many times better.
    """
    if not log.has("timestamp") or log.read is None or log.read.counts_steps or filters.since:
        return ""
    return shift_in_words(
        log.events["item"],
        log.events["timestamp"],
        "try --since {day} and later days, and compare on a split by time (nearfar data split "
        "--protocol time)",
    )


def shift_in_words(items: pl.Series, times: pl.Series, advice: str) -> str:
    """Return a remark on events whose last tenth recent popularity predicts far better.

    The last tenth is compared with the most popular items of all events before it, and of their
    last half, quarter and so on. Larger logs are sampled at equal steps.

    Args:
        items: the item of each event.
        times: the time of each event, in seconds.
        advice: what to do about it; `{day}` is the first recent day.
    """
    step = -(-len(times) // MAX_EVENTS)
    seconds = times.gather_every(step).to_numpy()
    if len(seconds) < MIN_EVENTS or np.ptp(seconds) < MIN_DAYS * A_DAY:
        return ""
    order = np.argsort(seconds, kind="stable")
    seconds = seconds[order]
    codes = items.gather_every(step).rank("dense").to_numpy().astype(np.int64)[order] - 1
    n_items = int(codes.max()) + 1
    n_before = len(codes) - len(codes) // 10
    last = np.bincount(codes[n_before:], minlength=n_items) / (len(codes) - n_before)
    n_top = max(1, min(TOP, n_items // 10))

    def share(start: int) -> float:
        counts = np.bincount(codes[start:n_before], minlength=n_items)
        return float(last[np.argsort(-counts, kind="stable")[:n_top]].sum())

    of_all = share(0)
    starts = [n_before - n_before // 2**k for k in range(1, HALVINGS + 1)]
    best = max(starts, key=share)
    recent = share(best)
    if recent < MIN_RATIO * of_all or recent - of_all < MIN_GAIN:
        return ""
    day = f"{datetime.fromtimestamp(int(seconds[best]), UTC):%Y-%m-%d}"
    return (
        f"what is popular changes: of the last tenth of the events {of_all:.1%} are of the {n_top} "
        f"items most popular before, {recent:.1%} of those most popular since {day}; a model of "
        f"recent events may be much better: {advice.format(day=day)}"
    )
