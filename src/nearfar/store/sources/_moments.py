"""Timestamps of one table as moments in UTC; what cannot be read becomes missing."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal

import polars as pl

from nearfar.core.errors import DataError
from nearfar.data.times import FORMATS, ZONED, Clock

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
MOMENT = pl.Datetime("us", "UTC")
# The years 1 to 9999, which is what databases and Python know.
FIRST, LAST = -62_135_596_800, 253_402_300_799


class Moments:
    """Turns the timestamps of one table into moments, block after block in one and the same way.

    As `data.times.Clock`, except that one bad value does not stop the rest.

    Args:
        where: how messages name the table.
        unit: what numbers count since 1970; "auto" tells it by their size.
    """

    def __init__(self, where: str, unit: TimeUnit) -> None:
        self._where = where
        self._unit = unit
        self.clock = Clock(where)

    def read(self, values: pl.Series, first_row: int) -> pl.Series:
        """Moments in UTC, whole seconds; missing where a value is none.

        Moments beyond the years 1 to 9999 count as the first or the last of these.

        Raises:
            DataError: the values are in several forms, or of a type that is no time.
        """
        if values.dtype == pl.Null:
            return values.cast(MOMENT)
        seconds = self._counted(values)
        if seconds is None:
            seconds = self._told(values, first_row)
        micro = seconds.clip(FIRST, LAST) * 1_000_000
        return micro.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")

    def _counted(self, values: pl.Series) -> pl.Series | None:
        """Seconds of numbers in a unit that is given; None for dates and for "auto"."""
        if self._unit == "auto" or not (values.dtype.is_numeric() or values.dtype == pl.String):
            return None
        numbers = values
        if values.dtype == pl.String:
            numbers = values.cast(pl.Float64, strict=False)
            if numbers.null_count() == len(values) > values.null_count():
                return None
        if numbers.dtype.is_float():
            numbers = _where(numbers.is_finite(), numbers)
            ticks = (numbers / PER_SECOND[self._unit]).floor()
            return ticks.clip(FIRST, LAST).cast(pl.Int64)
        return numbers.cast(pl.Int64, strict=False) // PER_SECOND[self._unit]

    def _told(self, values: pl.Series, first_row: int) -> pl.Series:
        try:
            return self.clock.seconds(values, first_row)
        except DataError:
            if not (values.dtype == pl.String or values.dtype.is_float()):
                raise
        # The clock learns from the first value, which may have been the one at fault.
        self.clock = Clock(self._where)
        return self.clock.seconds(_readable(values), first_row)


def _readable(values: pl.Series) -> pl.Series:
    """The values with those missing that are no moment in any form known."""
    if values.dtype.is_float():
        return _where(values.is_finite(), values)
    numbers = values.cast(pl.Float64, strict=False)
    good = numbers.is_finite().fill_null(False)
    for form in FORMATS:
        good |= values.str.to_datetime(form, strict=False).is_not_null()
    for form in ZONED:
        good |= values.str.to_datetime(form, strict=False, time_zone="UTC").is_not_null()
    return _where(good, values)


def midnight(day: date) -> datetime:
    """The moment at which a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _where(good: pl.Series, values: pl.Series) -> pl.Series:
    return pl.select(pl.when(good).then(values).alias(values.name)).to_series()
