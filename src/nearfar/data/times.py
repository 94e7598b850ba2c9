"""Moments in whatever form a table gives them, as seconds since 1970 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl

from nearfar.core.errors import DataError, SettingsError

FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S%.fZ",
    "%Y-%m-%d %H:%M:%S%.f UTC",
    "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%d",
)
ZONED = ("%Y-%m-%dT%H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%:z")
MS_FROM, US_FROM, NS_FROM = 10**11, 10**14, 10**17
# Seconds reach 10^11 in the year 5138; milliseconds passed it in 1973.


def epoch_seconds(moment: int | float | str | None) -> int | None:
    """Seconds since 1970 of a moment given so, or as an ISO date or date and time (UTC).

    Raises:
        SettingsError: text that is no ISO date.
    """
    if moment is None or isinstance(moment, int | float):
        return None if moment is None else int(moment)
    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        raise SettingsError(
            f"{moment!r} is no moment; give seconds since 1970 or a date such as 2024-05-01"
        ) from None
    zoned = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return int(zoned.timestamp())


class Clock:
    """Turns the moments of one column into seconds, block after block in one and the same way.

    Numbers are seconds since 1970, or milli-, micro- or nanoseconds where the largest of the
    first block is beyond 10^11, 10^14 or 10^17. Text is a number, or a date or date and time
    in an ISO-like form; without a zone it is UTC.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._divisor: int | None = None
        self._format: str | None = None

    def seconds(self, moments: pl.Series, first_row: int = 1) -> pl.Series:
        """Int64 seconds; fractions are cut off.

        Raises:
            DataError: a value is no moment; with its row.
        """
        kind = moments.dtype
        if kind == pl.String:
            return self._text(moments, first_row)
        if kind == pl.Date or isinstance(kind, pl.Datetime):
            return moments.cast(pl.Datetime("us")).dt.epoch("s").cast(pl.Int64)
        if kind.is_float():
            bad = ~moments.is_finite()
            if bad.any():
                row = first_row + int(bad.arg_max() or 0)
                raise DataError(f"{self.where}, row {row}: the timestamp is not finite")
        elif not kind.is_integer():
            raise DataError(f"{self.where}: timestamps are {kind}; numbers or dates were expected")
        return self._numbers(moments)

    def _numbers(self, moments: pl.Series) -> pl.Series:
        if self._divisor is None:
            largest = float(moments.max() or 0)  # pyright: ignore[reportArgumentType]
            steps = ((NS_FROM, 10**9), (US_FROM, 10**6), (MS_FROM, 10**3))
            self._divisor = next((d for bound, d in steps if largest >= bound), 1)
        whole = moments.cast(pl.Int64)
        return whole if self._divisor == 1 else whole // self._divisor

    def _text(self, moments: pl.Series, first_row: int) -> pl.Series:
        if self._format is None:
            self._format = _format_of(moments)
        if self._format == "number":
            parsed = moments.cast(pl.Float64, strict=False)
        elif self._format in ZONED:
            parsed = moments.str.to_datetime(self._format, strict=False, time_zone="UTC")
        else:
            parsed = moments.str.to_datetime(self._format, strict=False)
        bad = moments.is_not_null() & parsed.is_null()
        if bad.any():
            row = int(bad.arg_max() or 0)
            raise DataError(
                f"{self.where}, row {first_row + row}: timestamp is {moments[row]!r}; seconds "
                "since 1970 or a date such as 2024-05-01 was expected"
            )
        if self._format == "number":
            whole = moments.cast(pl.Int64, strict=False)
            return self._numbers(parsed if whole.null_count() > moments.null_count() else whole)
        return parsed.dt.epoch("s").cast(pl.Int64)


def _format_of(moments: pl.Series) -> str:
    sample = moments.drop_nulls().head(1)
    if sample.cast(pl.Float64, strict=False).null_count() == 0:
        return "number"
    for form in FORMATS:
        if sample.str.to_datetime(form, strict=False).null_count() == 0:
            return form
    for form in ZONED:
        if sample.str.to_datetime(form, strict=False, time_zone="UTC").null_count() == 0:
            return form
    return FORMATS[0]
