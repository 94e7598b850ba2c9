"""Read columns from Hive-style folder names: "date=2024-05-01/part-0.csv"."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote

import polars as pl

from nearfar.core.identity import CANONICAL
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

MISSING = "__HIVE_DEFAULT_PARTITION__"
YEAR_MONTH_DAY = ("year", "month", "day")
DAY_OF_FOLDERS = "year + month + day"
"""Name of the column of days that folders year=, month= and day= give together."""


class PartitionedTable(DerivedTable):
    """A table with one more column per folder name, which has one value.

    If the file has that column too, the file's values are read. Values that differ from the
    folder's are counted.

    Args:
        table: the original table.
        values: the value of each folder's column; None for a missing value.
    """

    def __init__(self, table: TableReader, values: dict[str, str | None]) -> None:
        self._values = {c: value for c, value in values.items() if c not in table.columns}
        self._in_file_too = {c: value for c, value in values.items() if c in table.columns}
        super().__init__(table, [*table.columns, *self._values])
        self._differing: Counter[str] = Counter()

    @property
    def converted(self) -> Mapping[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The conversions of the original table, and the number of values unlike the folder's."""
        return {**super().converted, **self._differing}

    def is_around(self, column: str, other: str) -> bool:
        """Return False for a column of the folders, whose values belong to each row."""
        return column not in self._values and super().is_around(column, other)

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        in_file = [c for c in selected if c not in self._values]
        dtypes = {c: dtype for c, dtype in (numbers or {}).items() if c in in_file}
        for frame, first in self.table.blocks(in_file or self.table.columns[:1], dtypes):
            for column in self._in_file_too.keys() & set(in_file):
                if n := _n_differing(frame[column], self._in_file_too[column]):
                    self._differing[
                        f"{column!r} read from the files, although the names of their folders give "
                        "another value"
                    ] += n
            values = (
                self._typed(value).alias(c) for c, value in self._values.items() if c in selected
            )
            yield frame.with_columns(*values).select(selected), first

    def _typed(self, value: str | None) -> pl.Expr:
        is_integer = value is not None and pl.Series([value]).str.contains(CANONICAL).all()
        dtype = pl.Int64 if self.typed and is_integer else pl.String
        return pl.lit(value, pl.String).cast(dtype)


def _n_differing(cells: pl.Series, value: str | None) -> int:
    """Return the number of values of a file's column that differ from its folder's value."""
    if value is None:
        return len(cells) - cells.null_count()
    same = cells.cast(pl.String, strict=False).str.strip_chars().str.starts_with(value)
    if not _is_date(value):
        same &= cells.cast(pl.String, strict=False).str.strip_chars().str.len_chars() == len(value)
    numbers = cells.cast(pl.Float64, strict=False)
    if (number := _number(value)) is not None:
        same |= (numbers == number).fill_null(False)
    elif _is_date(value):
        day = calendar.timegm(date.fromisoformat(value).timetuple())
        for per_second in (1, 10**3, 10**6, 10**9):
            same |= (numbers // per_second // 86_400 == day // 86_400).fill_null(False)
    return len(cells) - int(same.fill_null(False).sum())


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2024-05-01")


def partitioned(table: TableReader, name: str) -> TableReader:
    """Return the table with the columns of its folders' names, if there are any.

    Folders year=, month= and day= also give the column `DAY_OF_FOLDERS`.
    """
    pairs = (part.partition("=") for part in PurePosixPath(name).parts[:-1])
    values: dict[str, str | None] = {
        unquote(column): None if value == MISSING else unquote(value)
        for column, sign, value in pairs
        if sign and column
    }
    parts = {column.lower(): value for column, value in values.items() if value}
    if all(part in parts for part in YEAR_MONTH_DAY):
        values[DAY_OF_FOLDERS] = "-".join(parts[part].zfill(2) for part in YEAR_MONTH_DAY)
    return PartitionedTable(table, values) if values else table
