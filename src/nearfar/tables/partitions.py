"""Columns that the names of folders hold, as Hive writes them: "date=2024-05-01/part-0.csv"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from urllib.parse import unquote

import polars as pl

from nearfar.core.identity import CANONICAL
from nearfar.tables.reader import DerivedTable, Numbers, TableReader

MISSING = "__HIVE_DEFAULT_PARTITION__"


class PartitionedTable(DerivedTable):
    """A table with columns of one value, which its folders' names give.

    Args:
        table: the table as it is.
        values: the value of each column; None for a missing one.
    """

    def __init__(self, table: TableReader, values: dict[str, str | None]) -> None:
        super().__init__(table, [*table.columns, *values])
        self._values = values

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        own = [c for c in selected if c not in self._values]
        kinds = {c: kind for c, kind in (numbers or {}).items() if c in own}
        for frame, first in self.table.blocks(own or self.table.columns[:1], kinds):
            values = (
                self._typed(value).alias(c) for c, value in self._values.items() if c in selected
            )
            yield frame.with_columns(*values).select(selected), first

    def _typed(self, value: str | None) -> pl.Expr:
        whole = value is not None and pl.Series([value]).str.contains(CANONICAL).all()
        kind = pl.Int64 if self.typed and whole else pl.String
        return pl.lit(value, pl.String).cast(kind)


def partitioned(table: TableReader, name: str) -> TableReader:
    """A table with the columns that the folders in its file's name hold, if there are any."""
    pairs = (part.partition("=") for part in PurePosixPath(name).parts[:-1])
    values: dict[str, str | None] = {
        unquote(column): None if value == MISSING else unquote(value)
        for column, sign, value in pairs
        if sign and column
    }
    values = {column: value for column, value in values.items() if column not in table.columns}
    return PartitionedTable(table, values) if values else table
