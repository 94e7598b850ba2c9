"""Parse dates and times that are not ISO, in the formats that programs print."""

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
    "%d/%b/%Y",
    "%b-%d-%Y",
    "%Y-%b-%d",
    "%Y-%m-%d",
    "%Y/%m/%d",
)
TIMES_OF_DAY = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMS = (
    *("".join(parts) for parts in product(DAYS, TIMES_OF_DAY, ("",))),
    *("".join(parts) for parts in product(DAYS, TIMES_OF_DAY[1:3], (" %z",))),
    "%b %d %H:%M:%S %Y", "%b %d %H:%M:%S %z %Y", "%d/%b/%Y:%H:%M:%S %z", "%d/%b/%Y:%H:%M:%S",
    "%d%b%Y:%H:%M:%S", "%d%b%Y:%H:%M:%S%.f",
)  # fmt: skip
SLASH_TIMES = (*TIMES_OF_DAY, " %H:%M:%S %z")
DAY_FIRST = tuple(f"%d{s}%m{s}%Y{time}" for s in "/-" for time in SLASH_TIMES)
MONTH_FIRST = tuple(f"%m{s}%d{s}%Y{time}" for s in "/-" for time in SLASH_TIMES)
MONTH_DAY = r"^\d{1,2} \d{1,2}, \d{4}$"
"""The format of dates in Amazon's reviews: "05 1, 2024"."""


UNREAD = (
    (
        r"\d{1,2}:\d{2}.*\s[A-Z]{3,5}\b",
        "zone names are ambiguous; write an offset such as +02:00",
    ),
    (
        r"^\d{1,2}[./-](?:\d{1,2}|[A-Za-z]{3})[./-]\d{2}(?:\D|$)",
        "years of two digits need a format, such as --time-format '%d.%m.%y'",
    ),
    (r"^\d{4}-?(?:W|Q|KW)\d", "a week or quarter is not a day; write its first day"),
    (r"^\d{4}-\d{1,2}$", "a month is not a day; write its first day"),
    (r"^\d{1,2}:\d{2}", "a time of day has no date; name the column of dates"),
    (r"\d[\s.-]+[^\W\d_]{3,}", "only English names of months are read; write months as numbers"),
)
"""Formats of times that are not read, with the reason and what to do."""


def reason_unread(times: pl.Series) -> str | None:
    """Return why the first of these times is not read; None for an unknown format.

    Examples:
        >>> from nearfar.tables.written_dates import reason_unread
        >>> reason_unread(pl.Series(["2024-05"]))
        'a month is not a day; write its first day'
    """
    if times.dtype != pl.String or not len(times):
        return None
    return next((reason for form, reason in UNREAD if re.search(form, times[0])), None)


def epoch(text: pl.Series, form: str) -> pl.Series:
    """Return seconds since 1970 (Int64) of times in a format; null for times in another one."""
    if re.search("%[HIkl]", form) and not re.search("%[MTRrcX+]", form):
        text, form = text + " 00", form + " %M"  # Polars needs minutes beside hours
    if "%z" in form or "%:z" in form or "%#z" in form:
        parsed = text.str.to_datetime(form, strict=False, time_zone="UTC")
    else:
        parsed = text.str.to_datetime(form, strict=False)
    return parsed.dt.epoch("s").cast(pl.Int64)


def fitting_format(text: pl.Series, forms: tuple[str, ...]) -> str:
    """Return the first of these formats that parses the first text; the first one if none does."""
    fits = (form for form in forms if epoch(text.head(1), form).null_count() == 0)
    return next(fits, forms[0])


def parse_written(text: pl.Series, slash_formats: tuple[str, ...]) -> pl.Series:
    """Return seconds since 1970 (Int64) of dates in any known format; null for other text.

    Args:
        text: the dates. Commas, brackets and names of weekdays are ignored.
        slash_formats: the formats of dates with slashes, day first or month first.
    """
    plain = normalized(text)
    seconds = epoch(text, "%m %d, %Y") if text.str.contains(MONTH_DAY).any() else None
    seconds = pl.repeat(None, len(text), dtype=pl.Int64, eager=True) if seconds is None else seconds
    for form in (*FORMS, *slash_formats):
        unread = seconds.is_null()
        if not unread.any():
            break
        parsed = epoch(plain.filter(unread), form)
        if parsed.null_count() < len(parsed):
            seconds = seconds.scatter(unread.arg_true(), parsed)
    return seconds


def normalized(text: pl.Series) -> pl.Series:
    """Remove weekdays, brackets, commas, fractions of seconds and UTC from dates."""
    return (
        text.str.replace_all("[\u202f\u00a0]", " ")
        .str.replace(r"(^|[\sT])(\d{1,2}:\d{2}:\d{2})[.,:]\d+", "$1$2")
        .str.replace(r"\s(\d{1,2})\.(\d{2})\.(\d{2})\.\d{3,9}\b", " $1:$2:$3")
        .str.replace(
            r"^\s*(\d{1,2}:\d{2}(?::\d{2})?),?\s+(\d{1,2}[/.-]\d{1,2}[/.-]\d{4})\s*$", "$2 $1"
        )
        .str.replace_all(r"[\[\],]|\([^)]*\)|\bat\b", " ")
        .str.replace(r"^\s*(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?\s", "")
        .str.replace(r"\b(?:GMT|UTC)([+-]\d)", "$1")
        .str.replace(r"\s(?:GMT|UTC|Z)\s*$", "")
        .str.replace(r"\s(?:GMT|UTC)\s+(\d{4})$", " $1")
        .str.replace(r"(?i)(\d)\s*([ap])\.?m\.?\s*$", "$1 ${2}M")
        .str.replace_all(r"\s+", " ")
        .str.strip_chars()
    )
