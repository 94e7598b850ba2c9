"""What a table is: named columns, read in blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType

import polars as pl

BATCH_ROWS = 2_000_000
Numbers = Mapping[str, type[pl.DataType]]


class TableReader(ABC):
    """A table whose rows are read in blocks.

    Attributes:
        kind: of what holds it, before the word "table".
        where: how messages name it.
        columns: the names of its columns, in order.
        layout: separator, header and encoding of text, in words; empty for other formats.
        typed: whether columns have types of their own, so that text stays text.
        decimal_comma: whether "4,5" may be a number in it.
        remarks: what there is to know of it, once its blocks are read.
        listed: columns whose values are in lists, which become rows.
        lenient: columns that may hold values of any kind.
        converted: how many values are not what they could be taken for, by what, once its blocks
            are read.
    """

    kind: str = "a text"
    where: str
    columns: list[str]
    layout: str = ""
    typed: bool = True
    decimal_comma: bool = False
    listed: Collection[str] = ()
    remarks: Sequence[str] = ()
    converted: Mapping[str, int] = MappingProxyType({})

    lenient: Collection[str] = ()

    def tolerate(self, columns: Collection[str]) -> None:
        """Let columns hold values of any kind, which are missing where no rule reads them."""
        self.lenient = frozenset(columns)

    @abstractmethod
    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        """Yield blocks of rows of columns, with the number of each block's first row.

        Args:
            selected: the columns.
            numbers: columns that text may be parsed to numbers of a type in.
        """


class OneTimeTable(TableReader):
    """A table whose blocks can be read once only, as the rows that a database sends."""


class DerivedTable(TableReader):
    """A table whose rows are made of those of another one.

    Args:
        table: the other one.
        columns: those of this one.
    """

    def __init__(self, table: TableReader, columns: Sequence[str]) -> None:
        self.kind, self.where, self.layout = table.kind, table.where, table.layout
        self.typed, self.decimal_comma = table.typed, table.decimal_comma
        self.listed = table.listed
        self.table = table
        self.columns = list(columns)

    def tolerate(self, columns: Collection[str]) -> None:
        """Let columns of the other table hold values of any kind too."""
        super().tolerate(columns)
        self.table.tolerate(columns)

    @property
    def remarks(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the other table."""
        return self.table.remarks

    @property
    def converted(self) -> Mapping[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the other table."""
        return self.table.converted
