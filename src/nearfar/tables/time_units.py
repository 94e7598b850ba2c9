"""The units of times that are numbers, and the ranges by which they are recognised."""

from __future__ import annotations

from typing import Literal

import polars as pl

from nearfar.tables.digit_dates import DIGIT_RANGES
from nearfar.tables.spreadsheets import DAYS

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
MS_FROM, US_FROM, NS_FROM = 10**11, 10**14, 10**17
"""Seconds reach 10^11 in the year 5138; milliseconds passed it in 1973."""
COUNTED_BELOW = 10**8
"""Seconds below this are before 1974, so a log of such numbers counts steps, not seconds."""
RANGES = {
    **DIGIT_RANGES,
    "s": (COUNTED_BELOW, MS_FROM),
    "ms": (MS_FROM, US_FROM),
    "us": (US_FROM, NS_FROM),
    "ns": (NS_FROM, 2**63 - 1),
    "serial": DAYS,
}
"""Numbers in this unit are in [low, high)."""

UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "day": "dates as YYYYMMDD",
    "hour": "times as YYYYMMDDhh",
    "minute": "times as YYYYMMDDhhmm",
    "moment": "times as YYYYMMDDhhmmss",
    "serial": "spreadsheet day numbers",
}
RECENT = 946_684_800
"""Seconds of the first day of 2000. The year 9999, which stands for no time, is before it if it is
read in the next smaller unit."""


def unit_of_recent_times(numbers: pl.Series) -> str | None:
    """Return the unit in which all of these numbers are times from 2000 on; None if there is none.

    Args:
        numbers: integers without nulls.
    """
    if not len(numbers):
        return None
    units = (
        unit
        for unit, ticks in PER_SECOND.items()
        if numbers.is_between(RECENT * ticks, RANGES[unit][1], closed="left").all()
    )
    return next(units, None)
