"""A moment that two columns hold: a date and a time of day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from nearfar.tables.names import plain_name
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

DATES = ("date", "eventdate", "orderdate", "invoicedate", "datum", "fecha", "data", "day")
TIMES = ("time", "timeofday", "eventtime", "ordertime", "uhrzeit", "hora", "heure", "ora", "zeit")
OF_DAY = r"^\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d*)?)?\s*(?:[AaPp][Mm])?\s*$"


class DatedTable(DerivedTable):
    """A table with one column more: a date and a time of day, joined by a blank.

    Args:
        table: the table as it is.
        date, time: its columns.
    """

    def __init__(self, table: TableReader, date: str, time: str) -> None:
        self._parts = (date, time)
        self.joined = f"{date} + {time}"
        super().__init__(table, [*table.columns, self.joined])

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        own = [c for c in selected if c != self.joined]
        parts = [c for c in self._parts if c not in own]
        kinds = {c: kind for c, kind in (numbers or {}).items() if c in own}
        for frame, first in self.table.blocks([*own, *parts], kinds):
            date, time = (pl.col(c).cast(pl.String).str.strip_chars() for c in self._parts)
            joined = pl.concat_str([date, time], separator=" ").alias(self.joined)
            yield frame.with_columns(joined).select(selected), first


def dated(
    table: TableReader, columns: Mapping[str, str]
) -> tuple[TableReader, dict[str, str], str]:
    """A table and its columns by role, where a date and a time of day stand in two columns.

    Args:
        table: the table.
        columns: the column of each role, the timestamp's recognised by its name.

    Returns:
        The table, with a column for the moment if it lacked one; its columns by role; and a remark
        on what was chosen, or "".
    """
    names = {plain_name(c): c for c in reversed(table.columns)}
    date = next((names[n] for n in DATES if n in names), None)
    time = next((names[n] for n in TIMES if n in names), None)
    if date is None or time is None or columns.get("timestamp") not in (date, time):
        return table, dict(columns), ""
    frame, _ = next(iter(table.blocks([date, time])), (pl.DataFrame(), 1))
    if not frame.height or frame[date].dtype.is_numeric():
        return table, dict(columns), ""
    moments = frame[time].drop_nulls()
    if moments.dtype == pl.Time or (
        moments.dtype == pl.String and len(moments) and moments.str.contains(OF_DAY).all()
    ):
        joined = DatedTable(table, date, time)
        return joined, {**columns, "timestamp": joined.joined}, ""
    if columns["timestamp"] == time and _is_small(moments):
        remark = f"{time!r} holds small numbers, no times; times are read from {date!r}"
        return table, {**columns, "timestamp": date}, remark
    return table, dict(columns), ""


def _is_small(values: pl.Series) -> bool:
    numbers = values.cast(pl.Float64, strict=False)
    return bool(len(numbers)) and not numbers.null_count() and bool((numbers < 10**7).all())
