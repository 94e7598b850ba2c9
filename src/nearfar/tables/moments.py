"""Join columns of dates and times of day, or of years, months and days, to one column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from nearfar.tables.names import plain_name
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

DATES = ("date", "eventdate", "orderdate", "invoicedate", "datum", "fecha", "data", "day")
TIMES = ("time", "timeofday", "eventtime", "ordertime", "uhrzeit", "hora", "heure", "ora", "zeit")
TIME_OF_DAY = r"^\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d*)?)?\s*(?:[AaPp][Mm])?\s*$"


DAY_PARTS = {"year": (1900, 2200), "month": (1, 12), "day": (1, 31), "hour": (0, 23)}
"""Columns that make a day together, or an hour, with the range of their numbers."""


class DatedTable(DerivedTable):
    """A table with one more column: date and time of day, or year, month, day and hour, joined.

    Args:
        table: the original table.
        parts: the columns to join.
        form: how they are joined, as for `polars.format`.
    """

    def __init__(self, table: TableReader, parts: Sequence[str], form: str) -> None:
        self._parts, self._form = parts, form
        self.joined = " + ".join(parts)
        super().__init__(table, [*table.columns, self.joined])

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        original = [c for c in selected if c != self.joined]
        parts = [c for c in self._parts if c not in original]
        dtypes = {c: dtype for c, dtype in (numbers or {}).items() if c in original}
        for frame, first in self.table.blocks([*original, *parts], dtypes):
            cells = [pl.col(c).cast(pl.String).str.strip_chars() for c in self._parts]
            joined = pl.format(self._form, *cells).alias(self.joined)
            yield frame.with_columns(joined).select(selected), first


def with_joined_times(
    table: TableReader, columns: Mapping[str, str]
) -> tuple[TableReader, dict[str, str], str]:
    """Join the date and the time of day of a table that has them in two columns.

    Years, months, days and hours in columns of their own are joined if no column is a time.

    Args:
        table: the table.
        columns: the column of each role; the timestamp's was recognised by its name, if there.

    Returns:
        The table, with a joined column if it has both parts; its columns by role; and a remark if
        another column is used for the timestamp, else "".
    """
    names = {plain_name(c): c for c in reversed(table.columns)}
    if "timestamp" not in columns:
        return _with_days(table, columns, names)
    date = next((names[n] for n in DATES if n in names), None)
    time = next((names[n] for n in TIMES if n in names), None)
    if columns["timestamp"] not in (date, time):  # "purchase_date" and "purchase_time"
        prefix = re.sub("date$|time$", "", plain_name(columns["timestamp"]))
        date, time = names.get(f"{prefix}date"), names.get(f"{prefix}time")
    if date is None or time is None or columns["timestamp"] not in (date, time):
        return table, dict(columns), ""
    frame, _ = next(iter(table.blocks([date, time])), (pl.DataFrame(), 1))
    if not frame.height or frame[date].dtype.is_numeric():
        return table, dict(columns), ""
    times = frame[time].drop_nulls()
    if times.dtype == pl.Time or (
        times.dtype == pl.String and len(times) and times.str.contains(TIME_OF_DAY).all()
    ):
        joined = DatedTable(table, [date, time], "{} {}")
        return joined, {**columns, "timestamp": joined.joined}, ""
    if columns["timestamp"] == time and _is_small(times):
        remark = f"{time!r} has small numbers instead of times; times are read from {date!r}"
        return table, {**columns, "timestamp": date}, remark
    return table, dict(columns), ""


def _with_days(
    table: TableReader, columns: Mapping[str, str], names: Mapping[str, str]
) -> tuple[TableReader, dict[str, str], str]:
    taken = set(columns.values())
    parts = [names[part] for part in DAY_PARTS if part in names and names[part] not in taken]
    n_day = len(DAY_PARTS) - 1
    if [plain_name(part) for part in parts[:n_day]] != list(DAY_PARTS)[:n_day]:
        return table, dict(columns), ""
    frame, _ = next(iter(table.blocks(parts)), (pl.DataFrame(), 1))
    in_range = [
        frame[part]
        .cast(pl.Int64, strict=False)
        .is_between(*DAY_PARTS[plain_name(part)])
        .fill_null(False)
        .all()
        for part in parts
        if frame.height
    ]
    if not in_range or not all(in_range[:n_day]):
        return table, dict(columns), ""
    if not all(in_range):
        parts = parts[:n_day]
    joined = DatedTable(table, parts, "{}-{}-{}" + " {}" * (len(parts) - n_day))
    if joined.joined in table.columns:  # the names of folders gave it
        return table, {**columns, "timestamp": joined.joined}, ""
    return joined, {**columns, "timestamp": joined.joined}, ""


def _is_small(values: pl.Series) -> bool:
    numbers = values.cast(pl.Float64, strict=False)
    return bool(len(numbers)) and not numbers.null_count() and bool((numbers < 10**7).all())
