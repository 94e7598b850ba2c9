"""Convert times of any format to seconds since 1970 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.identity import shortened
from nearfar.tables.digit_dates import (
    DIGIT_FORMS,
    FIRST,
    LAST,
    digits_of_dates,
    plausible,
    refuse_year_last,
    seconds_of_digits,
    without,
)
from nearfar.tables.iso_dates import as_iso, iso_dates, n_with_zone
from nearfar.tables.roles import Parsed
from nearfar.tables.short_years import ShortYears
from nearfar.tables.spreadsheets import remark_on_days, seconds_of_days
from nearfar.tables.time_units import (
    COUNTED_BELOW,
    MS_FROM,
    NS_FROM,
    PER_SECOND,
    RANGES,
    UNITS,
    US_FROM,
    TimeUnit,
    unit_of_recent_times,
)
from nearfar.tables.written_dates import (
    DAY_FIRST,
    MONTH_FIRST,
    epoch,
    fitting_format,
    normalized,
    parse_written,
    reason_unread,
)

EXPECTED = "seconds since 1970 or a date such as 2024-05-01 was expected"


def epoch_seconds(moment: int | float | str | None) -> int | None:
    """Return seconds since 1970 of a number of seconds or an ISO date or time (UTC by default).

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
    with_zone = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int(with_zone.timestamp())


class Clock:
    """Convert the times of one column to seconds, with the same rules for all blocks.

    Numbers are seconds, milli-, micro- or nanoseconds since 1970, or dates written as YYYYMMDD,
    with or without hh, hhmm or hhmmss. The unit is inferred once, from most numbers of the first
    block, and anew for a table whose first block has only numbers of another unit. A number out of
    the unit's range is unreadable, and so is a time before 1900 or after 2200. Small numbers are
    steps, not dates. Text is a number, or an ISO-like date or time of any precision, in UTC if it
    has no zone. Dates with slashes or dashes are read day first or month first if the column shows
    which, else refused.

    Args:
        where: the table's name in messages.
        unit: the unit of numbers; "auto" to infer it from the first block.
        time_format: the strptime format of text ("%d/%m/%Y"); None to infer it.

    Attributes:
        counts_steps: whether the numbers are too small for dates.

    Raises:
        SettingsError: the time format names zones.
    """

    def __init__(self, where: str, unit: TimeUnit = "auto", time_format: str | None = None) -> None:
        self.where = where
        if time_format is not None and "%Z" in time_format:
            raise SettingsError(
                f"--time-format {time_format!r}: zone names (%Z) are ambiguous; use %z, for "
                "offsets such as +02:00"
            )
        self._unit: str | None = None if unit == "auto" else unit
        self._given_unit = unit != "auto"
        self.counts_steps = False
        self._text_form: Literal["numbers", "dates"] | None = None
        self._format = time_format
        self._slash_formats: tuple[str, ...] | None = None
        self._short_years = ShortYears()
        self._forms: set[str] = set()
        self._serial_days: list[int] = []
        self._dates_in_steps = ""
        self._n_zoned = self._n_naive = 0
        self._begins_table = self._is_new_table = False

    @property
    def unit(self) -> str:
        """The unit of numbers, a key of `UNITS`; "s" before the first number."""
        return self._unit or "s"

    @property
    def form(self) -> str:
        """The formats of the times, for messages; empty before the first block."""
        return ", ".join(sorted(self._forms))

    @property
    def remarks(self) -> list[str]:
        """Remarks on how the times were read, after the last block."""
        remarks = [remark_on_days(self._serial_days)] if self._serial_days else []
        remarks += self._short_years.remarks
        if self._dates_in_steps:
            remarks.append(
                f"the times look like {self._dates_in_steps}, but are read as numbers that count "
                "steps: only their order is right; write them as dates such as 2024-05-01"
            )
        if self._n_naive and self._n_zoned:
            remarks.append(
                f"{self._n_naive:,} times have no time zone and are read as UTC, "
                f"{self._n_zoned:,} have one; give all of them a time zone"
            )
        return remarks

    @property
    def zones(self) -> tuple[int, int]:
        """The number of times so far with a time zone, and without one."""
        return self._n_zoned, self._n_naive

    def begin_table(self) -> None:
        """Infer unit and form anew from the next block, if all its times have another one."""
        self._is_new_table = True

    def learn(self, times: pl.Series) -> str:
        """Infer the unit of numbers from some times, and return it (a key of `UNITS`)."""
        self.read(times)
        self._n_zoned = self._n_naive = 0
        self._short_years.forget_counts()
        return self.unit

    def read(self, times: pl.Series) -> Parsed:
        """Return seconds since 1970 (Int64), without fractions.

        Raises:
            DataError: the column's type is not a time, or its dates do not show whether day or
                month is first.
        """
        dtype = times.dtype
        self._begins_table, self._is_new_table = self._is_new_table, False
        if dtype == pl.Null:
            return Parsed(times.cast(pl.Int64), times.is_not_null(), EXPECTED)
        if dtype == pl.String:
            return self._parse_text(times)
        if dtype == pl.Date or isinstance(dtype, pl.Datetime):
            self._forms.add("dates" if dtype == pl.Date else "dates with times")
            if isinstance(dtype, pl.Datetime):
                n_times = len(times) - times.null_count()
                self._n_zoned += n_times * (dtype.time_zone is not None)
                self._n_naive += n_times * (dtype.time_zone is None)
            seconds = times.cast(pl.Datetime("us")).dt.epoch("s").cast(pl.Int64)
            return self._parsed_dates(times, seconds)
        if dtype.is_decimal():
            times = times.cast(pl.Float64)
        if not times.dtype.is_numeric():
            raise DataError(f"{self.where}: timestamps are {dtype}; numbers or dates were expected")
        return self._parse_numbers(times, times)

    def _parsed_dates(self, given: pl.Series, seconds: pl.Series) -> Parsed:
        """Return parsed dates; a date that did not parse or has an implausible year is bad."""
        bad = given.is_not_null() & ~seconds.is_between(FIRST, LAST).fill_null(False)
        expected = reason_unread(given.filter(bad).head(1)) or EXPECTED
        return Parsed(without(seconds, bad), bad, expected, given)

    def _parse_numbers(self, numbers: pl.Series, given: pl.Series) -> Parsed:
        finite = numbers.is_finite() if numbers.dtype.is_float() else numbers.is_not_null()
        finite = finite.fill_null(False)
        large = numbers.abs() >= 2.0**63 if numbers.dtype.is_float() else ~finite
        usable = finite & ~large.fill_null(False)
        whole = without(numbers, ~usable).cast(pl.Int64, strict=False)
        if self._unit is None and usable.any():
            self._infer_unit(whole.drop_nulls())
        unit = self._unit_of(whole.drop_nulls())
        if unit in DIGIT_FORMS:
            seconds = seconds_of_digits(whole, unit)
        elif unit == "serial":
            seconds = seconds_of_days(without(numbers, ~usable))
            if seconds.null_count() < len(seconds):
                self._serial_days += [int(seconds.min()), int(seconds.max())]  # pyright: ignore[reportArgumentType]
        else:
            seconds = whole // PER_SECOND[unit]
            implausible = ~plausible(seconds)
            if not self._given_unit:
                implausible |= self._out_of_range(whole, unit)
            seconds = without(seconds, implausible)
        self._forms.add("numbers that count steps" if self.counts_steps else UNITS[unit])
        bad = given.is_not_null() & seconds.is_null()
        expected = f"{UNITS[unit]} were expected, in the range of most rows"
        if given.dtype == pl.String and (bad & shortened(given)).any():
            expected = "a spreadsheet shortened it and its last digits are lost; export full times"
        return Parsed(seconds, bad, expected, given)

    def _infer_unit(self, whole: pl.Series) -> None:
        """Set the unit that most numbers are in the range of."""
        for unit in DIGIT_FORMS:
            if seconds_of_digits(whole, unit).null_count() * 2 < len(whole):
                self._unit = unit
                return
        if whole.is_between(*RANGES["serial"], closed="left").all():
            self._unit = "serial"
            return
        counts = {
            "s": int((whole < MS_FROM).sum()),
            "ms": int(whole.is_between(MS_FROM, US_FROM, closed="left").sum()),
            "us": int(whole.is_between(US_FROM, NS_FROM, closed="left").sum()),
            "ns": int((whole >= NS_FROM).sum()),
        }
        self._unit = max(counts, key=lambda unit: counts[unit])
        n_small = int((whole < COUNTED_BELOW).sum())
        self.counts_steps = self._unit == "s" and n_small * 2 > len(whole)
        if self.counts_steps:
            self._dates_in_steps = digits_of_dates(whole)
            refuse_year_last(self._dates_in_steps, whole, self.where)

    def _unit_of(self, whole: pl.Series) -> str:
        """Return the unit of numbers; a new table may have another one than those before."""
        may_differ = self._begins_table and not self._given_unit and not self.counts_steps
        if may_differ and not whole.is_between(*RANGES[self.unit], closed="left").any():
            self._unit = unit_of_recent_times(whole) or self._unit
        return self.unit

    def _out_of_range(self, whole: pl.Series, unit: str) -> pl.Series:
        """Return a mask of the numbers out of the unit's range."""
        low, high = (-COUNTED_BELOW, COUNTED_BELOW) if self.counts_steps else RANGES[unit]
        return ~whole.is_between(low, high, closed="left")

    def _parse_text(self, times: pl.Series) -> Parsed:
        text = times.str.strip_chars()
        text = without(text, text == "")
        if self._format is not None:
            self._forms.add(f"text as {self._format}")
            return self._parsed_dates(text, epoch(text, self._format))
        numbers = text.cast(pl.Int64, strict=False)
        n_times = len(text) - text.null_count()
        if len(text) - numbers.null_count() < n_times:
            floats = text.cast(pl.Float64, strict=False)
            numbers = numbers if floats.null_count() >= numbers.null_count() else floats
        n_numbers = len(text) - numbers.null_count()
        differs = self._begins_table and n_numbers in (0, n_times)
        if n_times and (self._text_form is None or differs):
            self._text_form = "numbers" if n_numbers * 2 > n_times else "dates"
        if self._text_form == "numbers":
            return self._parse_numbers(without(numbers, shortened(text)), text)
        seconds = self._parse_iso(text)
        unread = text.is_not_null() & seconds.is_null()
        if unread.any():
            others = self._parse_written(text.filter(unread))
            seconds = seconds.scatter(unread.arg_true(), others)
        return self._parsed_dates(text, seconds)

    def _parse_iso(self, text: pl.Series) -> pl.Series:
        dates = iso_dates(text)
        if dates.seconds.null_count() < len(text):
            self._forms.add("ISO dates with zones" if dates.n_offsets else "ISO dates")
        n_zoned, n_times = n_with_zone(text, dates.form)
        self._n_zoned += n_zoned
        self._n_naive += n_times - n_zoned
        return dates.seconds

    def _parse_written(self, text: pl.Series) -> pl.Series:
        """Return the seconds of dates that are not ISO: in words, with dots, with slashes."""
        text = self._short_years.completed(as_iso(text))
        seconds = iso_dates(text).seconds
        unread = text.filter(seconds.is_null())
        others = parse_written(unread, self._formats_with_slashes(normalized(unread)))
        seconds = seconds.scatter(seconds.is_null().arg_true(), others)
        if seconds.null_count() < len(seconds):
            self._forms.add("written dates")
        return seconds

    def _formats_with_slashes(self, text: pl.Series) -> tuple[str, ...]:
        parts = text.str.extract_groups(r"^(\d{1,2})[/-](\d{1,2})[/-]\d{4}").struct.unnest()
        first, second = (parts[c].cast(pl.Int64).drop_nulls() for c in parts.columns)
        if self._slash_formats is None and len(first):
            # Dates with years of two digits show the order too.
            order = self._short_years.order
            day_first = bool((first > 12).any()) or order == "day first"
            month_first = bool((second > 12).any()) or order == "month first"
            if day_first == month_first:
                problem = "some day first and others month first" if day_first else "ambiguous"
                formats = [fitting_format(text, forms) for forms in (DAY_FIRST, MONTH_FIRST)]
                raise DataError(
                    f"{self.where}: dates such as {text[0]!r} are {problem}; set their format with "
                    f"--time-format '{formats[0]}' or '{formats[1]}' (in settings: time_format)"
                )
            self._slash_formats = DAY_FIRST if day_first else MONTH_FIRST
        return self._slash_formats or ()
