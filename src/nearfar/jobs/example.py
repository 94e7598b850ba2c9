"""A made-up shop, to try a pipeline on before one's own events are available."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from nearfar.core.files import atomic_file

TASTES = 20
PER_TASTE = 30
FIRST = date(2026, 1, 5)
N_DAYS = 98


def shop_events(day: date, n_users: int) -> pl.DataFrame:
    """The events of a day: columns user, item, timestamp (UTC).

    An event for every second user. A user has one of twenty tastes and sometimes strays; of a
    taste's thirty items the first are chosen most, whose turn it is drifts with the days, and one
    is new each week. The same day always has the same events.
    """
    n = (day - FIRST).days
    rng = np.random.default_rng([7, abs(n), n_users])
    users = rng.integers(n_users, size=n_users // 2)
    strays = rng.random(len(users)) < 0.2
    tastes = (users + strays * rng.integers(TASTES, size=len(users))) % TASTES
    known = PER_TASTE + max(n, 0) // 7
    ranks = (known * rng.random(len(users)) ** 2).astype(int)
    items = tastes * 1000 + (ranks + n // 4) % known
    seconds = np.sort(rng.integers(86_400, size=len(users)))
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return pl.DataFrame({"user": users, "item": items, "timestamp": start + seconds}).with_columns(
        pl.from_epoch("timestamp").dt.replace_time_zone("UTC")
    )


def write_shop(folder: Path, n_users: int = 2000, n_days: int = N_DAYS) -> tuple[date, date]:
    """Write `date=YYYY-MM-DD/events.parquet` for fourteen weeks; returns the first and last day."""
    days = [FIRST + timedelta(days=n) for n in range(n_days)]
    for day in days:
        target = folder / f"date={day}"
        target.mkdir(parents=True, exist_ok=True)
        with atomic_file(target / "events.parquet") as file:
            shop_events(day, n_users).write_parquet(file)
    return days[0], days[-1]
