"""Times in whatever form a table gives them, as seconds since 1970 in UTC."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.identity import shortened
from nearfar.tables.columns import Parsed
from nearfar.tables.iso_dates import iso_dates, zoned
from nearfar.tables.spreadsheets import DAYS, seconds_of_days, told_days
from nearfar.tables.written_dates import (
    DAY_FIRST,
    MONTH_FIRST,
    epoch,
    tidied,
    told_of_unread,
    written,
)

TimeUnit = Literal["auto", "s", "ms", "us", "ns"]
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
MS_FROM, US_FROM, NS_FROM = 10**11, 10**14, 10**17
"""Seconds reach 10^11 in the year 5138; milliseconds passed it in 1973."""
COUNTED_BELOW = 10**8
"""Seconds below this are of 1973 at the latest: a log of such numbers counts steps, not seconds."""
RANGES = {
    "s": (COUNTED_BELOW, MS_FROM),
    "ms": (MS_FROM, US_FROM),
    "us": (US_FROM, NS_FROM),
    "ns": (NS_FROM, 2**63 - 1),
    "day": (10**7, 10**8),
    "minute": (10**11, 10**12),
    "moment": (10**13, 10**14),
    "serial": DAYS,
}
"""Numbers that count so lie in [least, most)."""
FIRST_YEAR, LAST_YEAR = 1900, 2200
FIRST = calendar.timegm((FIRST_YEAR, 1, 1, 0, 0, 0))
LAST = calendar.timegm((LAST_YEAR + 1, 1, 1, 0, 0, 0)) - 1

UNITS = {
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "day": "dates as YYYYMMDD",
    "minute": "times as YYYYMMDDhhmm",
    "moment": "times as YYYYMMDDhhmmss",
    "serial": "days as spreadsheets count them",
}
DIGITS = {"day": "%Y%m%d", "minute": "%Y%m%d%H%M", "moment": "%Y%m%d%H%M%S"}

EXPECTED = "seconds since 1970 or a date such as 2024-05-01 was expected"


def epoch_seconds(moment: int | float | str | None) -> int | None:
    """Seconds since 1970 of a moment given so, or as an ISO date or date and time (UTC).

    Raises:
        SettingsError: the text is not an ISO date.
    """
    if moment is None or isinstance(moment, int | float):
        return None if moment is None else int(moment)
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        raise SettingsError(
            f"{moment!r} is not a time; give seconds since 1970 or a date such as 2024-05-01"
        ) from None
    zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int(zoned.timestamp())


class Clock:
    """Turns the times of one column into seconds, block after block in the same way.

    Numbers count seconds since 1970, or milli-, micro- or nanoseconds, or are dates written as
    YYYYMMDD, YYYYMMDDhhmm or YYYYMMDDhhmmss. Which of these is decided once, by what most of the
    first block's numbers are; a number of another kind is an outlier, and so is a time before 1900
    or after 2200. Small numbers are steps that are counted, not dates. Text is a number, or a date,
    or a date and time, in an ISO-like form of any precision; without a zone it is UTC. Dates with
    slashes or dashes are read day first or month first if the column tells which, and refused if it
    does not.

    Args:
        where: how messages name the column's table.
        unit: what numbers count; "auto" to decide by the first block.
        time_format: how text is written, as strptime knows it ("%d/%m/%Y"); None to tell it.

    Attributes:
        counts_steps: whether the numbers are too small for dates.

    Raises:
        SettingsError: the time format names zones.
    """

    def __init__(self, where: str, unit: TimeUnit = "auto", time_format: str | None = None) -> None:
        self.where = where
        if time_format is not None and "%Z" in time_format:
            raise SettingsError(
                f"--time-format {time_format!r}: names of zones (%Z) are not unique; give %z for "
                "offsets such as +02:00"
            )
        self._unit: str | None = None if unit == "auto" else unit
        self._given_unit = unit != "auto"
        self.counts_steps = False
        self._text_is: Literal["numbers", "dates"] | None = None
        self._format = time_format
        self._slashes: tuple[str, ...] | None = None
        self._forms: set[str] = set()
        self._serial_days: list[int] = []
        self._n_zoned = self._n_naive = 0

    @property
    def unit(self) -> str:
        """What numbers count: a key of `UNITS`; "s" as long as there were none."""
        return self._unit or "s"

    @property
    def form(self) -> str:
        """In which form the times were written, in words; empty before the first block."""
        return ", ".join(sorted(self._forms))

    @property
    def remarks(self) -> list[str]:
        """What to know of how the times were read, once all blocks are."""
        remarks = [told_days(self._serial_days)] if self._serial_days else []
        if self._n_naive and self._n_zoned:
            remarks.append(
                f"{self._n_naive:,} times name no zone and are taken for UTC, beside "
                f"{self._n_zoned:,} that name one; give all of them a zone"
            )
        return remarks

    @property
    def zones(self) -> tuple[int, int]:
        """How many times of day named a zone so far, and how many did not."""
        return self._n_zoned, self._n_naive

    def learn(self, times: pl.Series) -> str:
        """Learn from some of the times what numbers count, and return it (a key of `UNITS`)."""
        self.read(times)
        self._n_zoned = self._n_naive = 0
        return self.unit

    def read(self, times: pl.Series) -> Parsed:
        """Seconds since 1970 (Int64); fractions are cut off.

        Raises:
            DataError: the column's type is no time, or its dates do not tell day from month.
        """
        kind = times.dtype
        if kind == pl.Null:
            return Parsed(times.cast(pl.Int64), times.is_not_null(), EXPECTED)
        if kind == pl.String:
            return self._text(times)
        if kind == pl.Date or isinstance(kind, pl.Datetime):
            self._forms.add("dates" if kind == pl.Date else "dates with times")
            if isinstance(kind, pl.Datetime):
                n_given = len(times) - times.null_count()
                self._n_zoned += n_given * (kind.time_zone is not None)
                self._n_naive += n_given * (kind.time_zone is None)
            seconds = times.cast(pl.Datetime("us")).dt.epoch("s").cast(pl.Int64)
            return self._dated(times, seconds)
        if kind.is_decimal():
            times = times.cast(pl.Float64)
        if not times.dtype.is_numeric():
            raise DataError(f"{self.where}: timestamps are {kind}; numbers or dates were expected")
        return self._numbers(times, times)

    def _dated(self, given: pl.Series, seconds: pl.Series) -> Parsed:
        """The seconds of dates, without those that did not parse or are of no plausible year."""
        bad = given.is_not_null() & ~seconds.is_between(FIRST, LAST).fill_null(False)
        expected = told_of_unread(given.filter(bad).head(1)) or EXPECTED
        return Parsed(_without(seconds, bad), bad, expected, given)

    def _numbers(self, numbers: pl.Series, given: pl.Series) -> Parsed:
        finite = numbers.is_finite() if numbers.dtype.is_float() else numbers.is_not_null()
        finite = finite.fill_null(False)
        large = numbers.abs() >= 2.0**63 if numbers.dtype.is_float() else ~finite
        usable = finite & ~large.fill_null(False)
        whole = _without(numbers, ~usable).cast(pl.Int64, strict=False)
        if self._unit is None and usable.any():
            self._decide(whole.drop_nulls())
        unit = self._unit or "s"
        if unit in DIGITS:
            seconds = _from_digits(whole, unit)
        elif unit == "serial":
            seconds = seconds_of_days(_without(numbers, ~usable))
            if seconds.null_count() < len(seconds):
                self._serial_days += [int(seconds.min()), int(seconds.max())]  # pyright: ignore[reportArgumentType]
        else:
            seconds = whole // PER_SECOND[unit]
            strange = ~_plausible(seconds)
            if not self._given_unit:
                strange |= self._of_another_kind(whole)
            seconds = _without(seconds, strange)
        self._forms.add(UNITS[unit] + (" (no dates: counted)" if self.counts_steps else ""))
        bad = given.is_not_null() & seconds.is_null()
        expected = f"{UNITS[unit]} as in most rows were expected"
        if given.dtype == pl.String and (bad & shortened(given)).any():
            expected = "a spreadsheet shortened it and lost its last digits; export times in full"
        return Parsed(seconds, bad, expected, given)

    def _decide(self, whole: pl.Series) -> None:
        """What the numbers count, by the kind that most of them are of."""
        for unit in DIGITS:
            if _from_digits(whole, unit).null_count() * 100 <= len(whole):
                self._unit = unit
                return
        if whole.is_between(*RANGES["serial"], closed="left").all():
            self._unit = "serial"
            return
        kinds = {
            "s": int((whole < MS_FROM).sum()),
            "ms": int(whole.is_between(MS_FROM, US_FROM, closed="left").sum()),
            "us": int(whole.is_between(US_FROM, NS_FROM, closed="left").sum()),
            "ns": int((whole >= NS_FROM).sum()),
        }
        self._unit = max(kinds, key=lambda kind: kinds[kind])
        small = int((whole < COUNTED_BELOW).sum())
        self.counts_steps = self._unit == "s" and small * 2 > len(whole)

    def _of_another_kind(self, whole: pl.Series) -> pl.Series:
        """Which numbers do not count what most do."""
        if self._unit == "s":
            low, high = (-COUNTED_BELOW, COUNTED_BELOW) if self.counts_steps else (
                COUNTED_BELOW, MS_FROM
            )  # fmt: skip
            return ~whole.is_between(low, high, closed="left")
        low, high = RANGES[self.unit]
        return ~whole.is_between(low, high, closed="left")

    def _text(self, times: pl.Series) -> Parsed:
        text = times.str.strip_chars()
        text = _without(text, text == "")
        if self._format is not None:
            self._forms.add(f"text as {self._format}")
            return self._dated(text, epoch(text, self._format))
        numbers = text.cast(pl.Int64, strict=False)
        n_given = len(text) - text.null_count()
        if len(text) - numbers.null_count() < n_given:
            floats = text.cast(pl.Float64, strict=False)
            numbers = numbers if floats.null_count() >= numbers.null_count() else floats
        n_numbers = len(text) - numbers.null_count()
        if self._text_is is None and n_given:
            self._text_is = "numbers" if n_numbers * 2 > n_given else "dates"
        if self._text_is == "numbers":
            return self._numbers(_without(numbers, shortened(text)), text)
        seconds = self._iso(text)
        left = text.is_not_null() & seconds.is_null()
        if left.any():
            others = self._other(text.filter(left))
            seconds = seconds.scatter(left.arg_true(), others)
        return self._dated(text, seconds)

    def _iso(self, text: pl.Series) -> pl.Series:
        read = iso_dates(text)
        if read.seconds.null_count() < len(text):
            self._forms.add("ISO dates with zones" if read.n_offsets else "ISO dates")
        n_zoned, n_clocks = zoned(text, read.form)
        self._n_zoned += n_zoned
        self._n_naive += n_clocks - n_zoned
        return read.seconds

    def _other(self, text: pl.Series) -> pl.Series:
        """Dates that are not ISO: written out, with dots, with slashes."""
        seconds = written(text, self._slashed(tidied(text)))
        if seconds.null_count() < len(seconds):
            self._forms.add("written dates")
        return seconds

    def _slashed(self, text: pl.Series) -> tuple[str, ...]:
        parts = text.str.extract_groups(r"^(\d{1,2})[/-](\d{1,2})[/-]\d{4}").struct.unnest()
        first, second = (parts[c].cast(pl.Int64).drop_nulls() for c in parts.columns)
        if self._slashes is None and len(first):
            day_first, month_first = bool((first > 12).any()), bool((second > 12).any())
            if day_first == month_first:
                both = "some of them day first and others month first" if day_first else "unclear"
                raise DataError(
                    f"{self.where}: dates such as {text[0]!r} are {both}; say how they are "
                    "written with --time-format '%d/%m/%Y' or '%m/%d/%Y'"
                )
            self._slashes = DAY_FIRST if day_first else MONTH_FIRST
        return self._slashes or ()


def _from_digits(whole: pl.Series, unit: str) -> pl.Series:
    """Seconds of numbers such as 20240501; null where one is no such date."""
    low, high = RANGES[unit]
    fits = whole.is_between(low, high, closed="left")
    if not fits.any():
        return _without(whole, whole.is_not_null())
    text = _without(whole, ~fits).cast(pl.String)
    seconds = epoch(text, DIGITS[unit])
    return _without(seconds, ~_plausible(seconds))


def _plausible(seconds: pl.Series) -> pl.Series:
    return seconds.is_between(FIRST, LAST).fill_null(False)


def _without(values: pl.Series, bad: pl.Series) -> pl.Series:
    """The values, null where `bad` is true."""
    return pl.select(pl.when(~bad.fill_null(False)).then(values).alias(values.name)).to_series()
