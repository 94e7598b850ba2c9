"""Dates and times written as digits alone: 20240501, 2024050112, 202405."""

from __future__ import annotations

import calendar

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.written_dates import epoch

FIRST_YEAR, LAST_YEAR = 1900, 2200
FIRST = calendar.timegm((FIRST_YEAR, 1, 1, 0, 0, 0))
LAST = calendar.timegm((LAST_YEAR + 1, 1, 1, 0, 0, 0)) - 1
"""The first and the last plausible second."""

JULIAN_1970 = 2_440_587
"""The Julian day before 1970, in which SQLite and astronomers count."""

DAY_OR_MONTH_FIRST = "DDMMYYYY or MMDDYYYY"
"""Dates whose numbers are not in the order of time."""

DIGIT_FORMS = {
    "day": "%Y%m%d",
    "hour": "%Y%m%d%H",
    "minute": "%Y%m%d%H%M",
    "moment": "%Y%m%d%H%M%S",
}
DIGIT_RANGES = {
    "day": (10**7, 10**8),
    "hour": (10**9, 10**10),
    "minute": (10**11, 10**12),
    "moment": (10**13, 10**14),
}
"""Numbers of this form are in [low, high)."""


def seconds_of_digits(whole: pl.Series, unit: str) -> pl.Series:
    """Return the seconds of numbers such as 20240501; null for other numbers."""
    low, high = DIGIT_RANGES[unit]
    in_range = whole.is_between(low, high, closed="left")
    if not in_range.any():
        return without(whole, whole.is_not_null())
    text = without(whole, ~in_range).cast(pl.String)
    seconds = epoch(text, DIGIT_FORMS[unit])
    return without(seconds, ~plausible(seconds))


def digits_of_dates(whole: pl.Series) -> str:
    """Return the form of dates that short numbers seem to be ("YYYYMM"); "" for none.

    Examples:
        >>> from nearfar.tables.digit_dates import digits_of_dates
        >>> digits_of_dates(pl.Series([202411, 202412, 202501])), digits_of_dates(pl.Series([7, 8]))
        ('YYYYMM', '')
    """
    rest, year = whole % 100, whole // 100
    month = year % 100
    forms = {
        "YYYYMM": year.is_between(FIRST_YEAR, LAST_YEAR) & rest.is_between(1, 12),
        "YYYYWW": year.is_between(FIRST_YEAR, LAST_YEAR) & rest.is_between(1, 53),
        "YYMMDD": whole.is_between(10**4, 10**6) & month.is_between(1, 12) & rest.is_between(1, 31),
        "YYYYDDD": (whole // 1000).is_between(FIRST_YEAR, LAST_YEAR)
        & (whole % 1000).is_between(1, 366),
        DAY_OR_MONTH_FIRST: (whole % 10**4).is_between(FIRST_YEAR, LAST_YEAR)
        & (
            ((whole // 10**6).is_between(1, 31) & (whole // 10**4 % 100).is_between(1, 12))
            | ((whole // 10**6).is_between(1, 12) & (whole // 10**4 % 100).is_between(1, 31))
        ),
        "Julian days": whole.is_between(JULIAN_1970, JULIAN_1970 + 130 * 366),
    }
    return next((form for form, fits in forms.items() if fits.sum() * 10 > len(whole) * 9), "")


def refuse_year_last(form: str, whole: pl.Series, where: str) -> None:
    """Raise if dates of digits are not in the order of time.

    Args:
        form: the form of the dates, of `digits_of_dates`.
        whole: the numbers.
        where: the table's name in messages.

    Raises:
        DataError: the year is last; the message says how to read them.
    """
    if form == DAY_OR_MONTH_FIRST:
        raise DataError(
            f"{where}: times such as {whole[0]} look like {form}; set their format with "
            "--time-format '%d%m%Y' or '%m%d%Y'"
        )


def plausible(seconds: pl.Series) -> pl.Series:
    """Return a mask of the seconds from 1900 to 2200."""
    return seconds.is_between(FIRST, LAST).fill_null(False)


def without(values: pl.Series, bad: pl.Series) -> pl.Series:
    """Return the values, with null where `bad` is true."""
    return pl.select(pl.when(~bad.fill_null(False)).then(values).alias(values.name)).to_series()
