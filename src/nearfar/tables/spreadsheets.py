"""Days as spreadsheets count them, from 1899-12-30 on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

DAYS = (36_526, 73_051)
"""Days from 2000 to 2099 lie in [first, last): they are told by their size."""
DAY_OF_1970 = 25_569


def seconds_of_days(numbers: pl.Series) -> pl.Series:
    """Seconds since 1970 (Int64) of days with their fractions; null where one is out of `DAYS`."""
    seconds = ((numbers.cast(pl.Float64) - DAY_OF_1970) * 86_400).round()
    inside = numbers.is_between(*DAYS, closed="left")
    return pl.select(pl.when(inside).then(seconds).cast(pl.Int64).alias(numbers.name)).to_series()


def told_days(seconds: Sequence[int]) -> str:
    """What to say of a column that was read so.

    Args:
        seconds: that came out of it, the first and the last of all among them.
    """
    first, last = (datetime.fromtimestamp(t, UTC).date() for t in (min(seconds), max(seconds)))
    return (
        f"the times are numbers from {DAYS[0]:,} to {DAYS[1] - 1:,} and are read as days of a "
        f"spreadsheet: {first} to {last}; if they are none, --time-unit s takes them for seconds "
        '(in settings: time_unit = "s")'
    )
