"""What a table is: named columns, read in blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

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
    """

    kind: str = "a text"
    where: str
    columns: list[str]
    layout: str = ""
    typed: bool = True
    decimal_comma: bool = False
    remarks: Sequence[str] = ()

    @abstractmethod
    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        """Yield blocks of rows of columns, with the number of each block's first row.

        Args:
            selected: the columns.
            numbers: columns that text may be parsed to numbers of a type in.
        """
