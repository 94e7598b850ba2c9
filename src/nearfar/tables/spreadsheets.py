"""Convert spreadsheet day numbers, which count days from 1899-12-30."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import polars as pl

DAYS = (36_526, 73_051)
"""Day numbers of 2000 to 2099 are in [first, last); only these are recognised."""
DAY_OF_1970 = 25_569


def seconds_of_days(numbers: pl.Series) -> pl.Series:
    """Return seconds since 1970 (Int64) of fractional day numbers; null for those out of `DAYS`."""
    seconds = ((numbers.cast(pl.Float64) - DAY_OF_1970) * 86_400).round()
    in_range = numbers.is_between(*DAYS, closed="left")
    return pl.select(pl.when(in_range).then(seconds).cast(pl.Int64).alias(numbers.name)).to_series()


def remark_on_days(seconds: Sequence[int]) -> str:
    """Return the remark on a column that was read as day numbers.

    Args:
        seconds: its times, with at least the first and the last one.
    """
    first, last = (datetime.fromtimestamp(t, UTC).date() for t in (min(seconds), max(seconds)))
    return (
        f"the times are numbers from {DAYS[0]:,} to {DAYS[1] - 1:,} and are read as days of a "
        f"spreadsheet: {first} to {last}; to read them as seconds, set --time-unit s "
        '(in settings: time_unit = "s")'
    )
