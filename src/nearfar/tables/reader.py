"""The interfaces of text files and of a table: named columns, read in blocks of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import polars as pl

BATCH_ROWS = 2_000_000
Numbers = Mapping[str, type[pl.DataType]]
Lists = tuple[tuple[str, ...], ...]
"""Lists, one inside another: for each, the keys to it from the table or the list around it."""


class TextFiles(Protocol):
    """The interface of text files, read in blocks of whole rows; `RawFiles` has it."""

    def where(self, name: str) -> str:
        """Return the file's name in messages."""
        ...

    def blocks(
        self,
        name: str,
        *,
        size: int,
        encoding: str | None,
        row_end: Callable[[bytes], int],
    ) -> Iterator[bytes]:
        """Yield the text in blocks of about `size` bytes."""
        ...


class SampledFiles(TextFiles, Protocol):
    """The interface of text files from whose first lines their form is inferred."""

    def sample(self, name: str, encoding: str | None = None) -> bytes:
        """Return the first lines of a text file."""
        ...


class TableReader(ABC):
    """A table whose rows are read in blocks.

    Attributes:
        kind: the format, as it stands before the word "table" in messages.
        where: the table's name in messages.
        columns: the names of its columns, in order.
        layout: separator, header and encoding of text, for messages; empty for other formats.
        typed: whether columns have types, so that text stays text.
        decimal_comma: whether "4,5" may be a number.
        remarks: remarks on the table, after its blocks were read.
        lists: the lists around the values of a column, outermost first, which are flattened to
            rows; columns outside of lists are left out.
        listed_values: those of these columns whose lists hold the values themselves, not objects.
        lenient: columns that may hold values of any type.
        converted: the number of changed values by the change, after the blocks were read.
    """

    kind: str = "a text"
    where: str
    columns: list[str]
    layout: str = ""
    typed: bool = True
    decimal_comma: bool = False
    lists: Mapping[str, Lists] = MappingProxyType({})
    listed_values: Collection[str] = ()
    remarks: Sequence[str] = ()
    converted: Mapping[str, int] = MappingProxyType({})

    lenient: Collection[str] = ()

    def tolerate(self, columns: Collection[str]) -> None:
        """Allow values of any type in columns; those that no rule reads are missing."""
        self.lenient = frozenset(columns)

    def is_around(self, column: str, other: str) -> bool:
        """Return whether another column's lists include all of a column's, and more of them."""
        lists, others = self.lists.get(column, ()), self.lists.get(other, ())
        return lists == others[: len(lists)] and len(lists) < len(others)

    def narrow(self, schema: Mapping[str, pl.DataType]) -> None:
        """Read only these parts of columns of objects and lists, if the format can do so.

        Args:
            schema: the types with these parts only, by column.
        """
        return

    @abstractmethod
    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        """Yield blocks of rows, with the number of each block's first row.

        Args:
            selected: the columns to read.
            numbers: the number type of columns whose text may be parsed early, for speed.
        """


class OneTimeTable(TableReader):
    """A table whose blocks can be read only once, such as the result of a database query."""


class DerivedTable(TableReader):
    """A table made from another table.

    Args:
        table: the other table.
        columns: the columns of this table.
    """

    def __init__(self, table: TableReader, columns: Sequence[str]) -> None:
        self.kind, self.where, self.layout = table.kind, table.where, table.layout
        self.typed, self.decimal_comma = table.typed, table.decimal_comma
        self.lists, self.listed_values = table.lists, table.listed_values
        self.table = table
        self.columns = list(columns)

    def tolerate(self, columns: Collection[str]) -> None:
        """Allow values of any type in columns, also of the other table."""
        super().tolerate(columns)
        self.table.tolerate(columns)

    @property
    def remarks(self) -> Sequence[str]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The remarks of the other table."""
        return self.table.remarks

    @property
    def converted(self) -> Mapping[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The conversions of the other table."""
        return self.table.converted
