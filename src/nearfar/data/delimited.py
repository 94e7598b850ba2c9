"""Delimited text, block by block, into typed columns; what cannot be read is named by its row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl
from polars.datatypes import DataType
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError
from nearfar.data.raw import BLOCK_BYTES

PolarsType = DataType | type[DataType]


class TextFiles(Protocol):
    """Named text in blocks of whole lines; `RawFiles` is one."""

    def where(self, name: str) -> str:
        """How a message names one file."""
        ...

    def blocks(self, name: str, *, size: int, quoted: bool) -> Iterator[bytes]:
        """The text in blocks of about `size` bytes."""
        ...


@dataclass(frozen=True)
class Dialect:
    """How the text is cut into columns.

    Attributes:
        separator: between columns; "::" is taken too.
        quoted: whether double quotes protect separators and newlines.
        header: whether the first line names the columns.
    """

    separator: str = ","
    quoted: bool = False
    header: bool = True


def read_blocks(
    files: TextFiles,
    name: str,
    columns: Sequence[str],
    types: Mapping[str, PolarsType],
    dialect: Dialect,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Blocks of rows of a file, with the number of each block's first row.

    Args:
        files, name: the file.
        columns: all columns of the file, in order.
        types: the type of each column wanted; the others are skipped.
        dialect: how the text is cut.
        block_bytes: about how many bytes are parsed at a time.

    Rows are counted from 1, without the header. Empty lines are skipped. A row may lack columns
    at its end (they read as missing).

    Raises:
        DataError: a value is not of its column's type, a row is too long, or the text is not
            UTF-8; with the row and the text.
    """
    separator = "\t" if dialect.separator == "::" else dialect.separator
    skip = dialect.header
    first_row = 1
    for block in files.blocks(name, size=block_bytes, quoted=dialect.quoted):
        if skip:
            end = block.find(b"\n") + 1
            block, skip = (block[end:] if end else b""), False
        if block.isspace() or not block:
            continue
        if dialect.separator == "::":
            block = block.replace(b"::", b"\t")
        parser = _Parser(files.where(name), columns, types, separator, dialect.quoted)
        frame = parser.parse(block, first_row)
        n_rows = frame.height
        if all(frame[c].null_count() for c in frame.columns):
            frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
        yield frame, first_row
        first_row += n_rows


@dataclass(frozen=True)
class _Parser:
    where: str
    columns: Sequence[str]
    types: Mapping[str, PolarsType]
    separator: str
    quoted: bool

    def parse(self, block: bytes, first_row: int) -> pl.DataFrame:
        try:
            return self._read(block, self.types)
        except PolarsError as error:
            raise self._diagnosis(block, first_row, error) from None

    def _read(self, block: bytes, types: Mapping[str, PolarsType]) -> pl.DataFrame:
        # A header of our own, since the names polars makes up differ between its versions.
        names = [f"c{i}" for i in range(len(self.columns))]
        own = dict(zip(self.columns, names, strict=True))
        frame = pl.read_csv(
            self.separator.join(names).encode() + b"\n" + block,
            separator=self.separator,
            quote_char='"' if self.quoted else None,
            schema_overrides={own[c]: t for c, t in types.items()},
            columns=[own[c] for c in types],
            infer_schema=False,
            raise_if_empty=False,
        )
        return frame.select(pl.col(own[c]).alias(c) for c in types)

    def _diagnosis(self, block: bytes, first_row: int, error: PolarsError) -> DataError:
        """The error that names the first row at fault."""
        try:
            block.decode("utf-8")
        except UnicodeDecodeError as wrong:
            row = first_row + block.count(b"\n", 0, wrong.start)
            return DataError(
                f"{self.where}, row {row}: byte 0x{block[wrong.start]:02x} is not UTF-8 text; "
                "convert the file to UTF-8"
            )
        try:
            text = self._read(block, dict.fromkeys(self.types, pl.String))
        except PolarsError:
            return DataError(f"{self.where}, rows from {first_row}: {_first_line(error)}")
        for column, kind in self.types.items():
            bad = text[column].is_not_null() & text[column].cast(kind, strict=False).is_null()
            if bad.any():
                row = int(bad.arg_max() or 0)
                return self._not_a_number(column, text[column][row], first_row + row)
        return DataError(f"{self.where}, rows from {first_row}: {_first_line(error)}")

    def _not_a_number(self, column: str, value: str, row: int) -> DataError:
        what = "an integer" if self.types[column] == pl.Int64 else "a number"
        digits = value.lstrip("-")
        if what == "an integer" and digits.isdecimal() and len(digits) >= 19:
            return SchemaError(
                f"{self.where}, row {row}: {column} {value} does not fit a signed 64-bit "
                "integer; put a letter before such ids to have them read as text"
            )
        return DataError(f"{self.where}, row {row}: {column} is {value!r}; {what} was expected")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
