"""Parse ISO dates and times of any precision, with or without a zone."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from nearfar.tables.written_dates import epoch

ISO = (
    r"^(?<year>\d{4})[-/.](?<month>\d{1,2})[-/.](?<day>\d{1,2})"
    r"(?:[Tt ]+(?<hour>\d{1,2})(?::(?<minute>\d{2})(?::(?<second>\d{2})(?:[.,]\d*)?)?)?)?"
    r"\s*(?:(?:Z|z|UTC|GMT)|(?<sign>[+-])(?<zone_hour>\d{2}):?(?<zone_minute>\d{2})?)?$"
)
REWRITTEN = (
    (r"(Z|[+-]\d{2}:?\d{2})\[[\w/+-]+\]$", "$1"),
    (r"^(\d{4})[年년]\s*(\d{1,2})[月월]\s*(\d{1,2})[日일]\s*", "$1-$2-$3 "),
    (r"^(\d{4})\. ?(\d{1,2})\. ?(\d{1,2})(?:\.|$)\s*", "$1-$2-$3 "),
    (r"^(\d{4})(\d{2})(\d{2})[Tt ]+(\d{2}):?(\d{2}):?(\d{2})", "$1-$2-$3 $4:$5:$6"),
    (r"^(\d{4})(\d{2})(\d{2})[Tt ]+(\d{2}):?(\d{2})([Z+-].*|)$", "$1-$2-$3 $4:$5$6"),
    (r"^(\d{4}-\d{2}-\d{2})-(\d{2})\.(\d{2})\.(\d{2})", "$1 $2:$3:$4"),
)
"""Patterns of dates that name year, month and day in this order, and their ISO form: Java's zone
ids, Chinese, Japanese and Korean dates, ISO's basic form (20240501T093000Z), and DB2's dates."""
FORMS = ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")
"""Usual formats; a column in one of them is parsed fast."""
CLOCK = r"\d:\d{2}"
ZONE = CLOCK + r".*(?:[Zz]|UTC|GMT|[+-]\d{2}(?::?\d{2})?)\b"


@dataclass(frozen=True, eq=False)
class IsoDates:
    """Parsed dates.

    Attributes:
        seconds: seconds since 1970 in UTC (Int64); null for text that is not an ISO date.
        n_offsets: the number of dates with an offset such as +02:00.
        form: the format of all dates, if it is known.
    """

    seconds: pl.Series
    n_offsets: int = 0
    form: str | None = None


def iso_dates(text: pl.Series) -> IsoDates:
    """Parse ISO dates and times; one without a zone is in UTC."""
    first = text.drop_nulls().head(1)
    # Polars reads "24-05-01" as a day of the year 24.
    has_year = len(first) and first.str.contains(r"^\d{4}-").all()
    for form in FORMS:
        if has_year and epoch(first, form).null_count() == 0:
            seconds = epoch(text, form)
            if seconds.null_count() == text.null_count():
                return IsoDates(seconds, form=form)
    parts = text.str.extract_groups(ISO).struct.unnest()
    number = {c: pl.col(c).cast(pl.Int64, strict=False) for c in parts.columns if c != "sign"}
    clock = {c: number[c].fill_null(0) for c in ("hour", "minute", "second")}
    offset = number["zone_hour"] * 3600 + number["zone_minute"].fill_null(0) * 60
    offset = pl.when(pl.col("sign") == "-").then(-offset).otherwise(offset).fill_null(0)
    good = (
        number["month"].is_between(1, 12)
        & number["day"].is_between(1, 31)
        & (clock["hour"] <= 23)
        & (clock["minute"] <= 59)
        & (clock["second"] <= 60)
    )
    date = pl.format("{}-{}-{}", "year", pl.col("month").str.zfill(2), pl.col("day").str.zfill(2))
    day = pl.when(good).then(date).str.to_date("%Y-%m-%d", strict=False).dt.epoch("s")
    seconds = day + clock["hour"] * 3600 + clock["minute"] * 60 + clock["second"] - offset
    column = parts.select(seconds.cast(pl.Int64).alias("seconds")).to_series()
    return IsoDates(column, len(text) - parts["sign"].null_count())


def as_iso(text: pl.Series) -> pl.Series:
    """Return dates with year, month and day in this order in the ISO form; other text as it is."""
    for pattern, replacement in REWRITTEN:
        text = text.str.replace(pattern, replacement)
    return text.str.strip_chars()


def n_with_zone(text: pl.Series, form: str | None) -> tuple[int, int]:
    """Return the number of times with a zone, and the number with a time of day.

    Args:
        text: the times.
        form: the format of all times, if it is known.
    """
    if form is not None:
        n_clocks = (len(text) - text.null_count()) * ("%H" in form)
        return n_clocks * form.endswith("Z"), n_clocks
    return int(text.str.contains(ZONE).sum()), int(text.str.contains(CLOCK).sum())
