"""Dates and times that are written out, in the forms that programs print."""

from __future__ import annotations

import re
from itertools import product

import polars as pl

DAYS = (
    "%d.%m.%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d %Y",
    "%B %d %Y",
    "%d-%b-%Y",
    "%d-%B-%Y",
    "%Y-%m-%d",
)
TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMS = (
    *("".join(parts) for parts in product(DAYS, TIMES_OF_DAY, ("",))),
    *("".join(parts) for parts in product(DAYS, TIMES_OF_DAY[1:3], (" %z",))),
    "%b %d %H:%M:%S %Y", "%b %d %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S",
)  # fmt: skip
DAY_FIRST = tuple(f"%d{s}%m{s}%Y{time}" for s in "/-" for time in TIMES_OF_DAY)
MONTH_FIRST = tuple(f"%m{s}%d{s}%Y{time}" for s in "/-" for time in TIMES_OF_DAY)
MONTH_DAY = r"^\d{1,2} \d{1,2}, \d{4}$"
"""As Amazon's reviews are dated: "05 1, 2024"."""


UNREAD = (
    (
        r"\d{1,2}:\d{2}.*\s[A-Z]{3,5}\b",
        "a zone's name is not unique; write an offset such as +02:00",
    ),
    (
        r"^\d{1,2}[./-]\d{1,2}[./-]\d{2}(?:\D|$)",
        "years of two digits are read with --time-format, as '%d.%m.%y'",
    ),
    (r"^\d{4}-?(?:W|Q|KW)\d", "weeks and quarters are no days; write their first day"),
    (r"^\d{4}-\d{1,2}$", "a month is no day; write its first day"),
    (r"^\d{1,2}:\d{2}", "a time of day tells no date; name the column of the date"),
    (r"\d[\s.-]+[^\W\d_]{3,}", "names of months are read in English; write their numbers"),
)
"""Forms of times that are not read, and what to say of them."""


def told_of_unread(times: pl.Series) -> str | None:
    """What to say of the first time that was not read; None where nothing is known of its form.

    Examples:
        >>> from nearfar.tables.written_dates import told_of_unread
        >>> told_of_unread(pl.Series(["2024-05"]))
        'a month is no day; write its first day'
    """
    if times.dtype != pl.String or not len(times):
        return None
    return next((told for form, told in UNREAD if re.search(form, times[0])), None)


def epoch(text: pl.Series, form: str) -> pl.Series:
    """Seconds since 1970 (Int64) of times written in one form; null where one is not."""
    if "%z" in form or "%:z" in form or "%#z" in form:
        parsed = text.str.to_datetime(form, strict=False, time_zone="UTC")
    else:
        parsed = text.str.to_datetime(form, strict=False)
    return parsed.dt.epoch("s").cast(pl.Int64)


def written(text: pl.Series, slashed: tuple[str, ...]) -> pl.Series:
    """Seconds since 1970 (Int64) of dates that are written out; null where one is in no such form.

    Args:
        text: the dates. Commas, brackets and names of weekdays are passed over.
        slashed: forms of dates with slashes, whose order of day and month was told.
    """
    plain = tidied(text)
    seconds = epoch(text, "%m %d, %Y") if text.str.contains(MONTH_DAY).any() else None
    seconds = pl.repeat(None, len(text), dtype=pl.Int64, eager=True) if seconds is None else seconds
    for form in (*FORMS, *slashed):
        left = seconds.is_null()
        if not left.any():
            break
        found = epoch(plain.filter(left), form)
        if found.null_count() < len(found):
            seconds = seconds.scatter(left.arg_true(), found)
    return seconds


def tidied(text: pl.Series) -> pl.Series:
    """Dates without what does not tell the time."""
    return (
        text.str.replace_all("[\u202f\u00a0]", " ")
        .str.replace_all(r"[\[\],]|\([^)]*\)|\bat\b", " ")
        .str.replace(r"^\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?\s", "")
        .str.replace(r"\b(?:GMT|UTC)([+-]\d)", "$1")
        .str.replace(r"\s(?:GMT|UTC|Z)\s*$", "")
        .str.replace(r"(?i)(\d)\s*([ap])\.?m\.?\s*$", "$1 ${2}M")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
    )
