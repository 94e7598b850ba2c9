"""Delimited text, block by block, into columns of text; no row is lost or joined to another.

Polars parses the text. Where double quotes stand it can go wrong in silence, so each block is
classified first: without a quote at the start of a cell, quotes are characters like any other;
where every quote opens, closes or escapes as RFC 4180 says, Polars is right; everything else goes
to Python's csv module in its strict mode, which is slow, takes a quote for one only at the start of
a cell, and refuses text after a closing one. The rows that come out are held against the lines that
went in.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import BLOCK_BYTES, last_newline

QUOTE, NEWLINE = ord('"'), ord("\n")
CSV_ROWS = 50_000


class TextFiles(Protocol):
    """Named text in blocks of whole rows; `RawFiles` is one."""

    def where(self, name: str) -> str:
        """How a message names one file."""
        ...

    def blocks(
        self,
        name: str,
        *,
        size: int,
        encoding: str | None,
        row_end: Callable[[bytes], int],
    ) -> Iterator[bytes]:
        """The text in blocks of about `size` bytes."""
        ...


def read_blocks(
    files: TextFiles,
    name: str,
    columns: Sequence[str],
    selected: Sequence[str],
    dialect: Dialect,
    block_bytes: int = BLOCK_BYTES,
    numbers: Mapping[str, type[pl.DataType]] | None = None,
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Blocks of rows of a file as text, with the number of each block's first row.

    Args:
        files, name: the file.
        columns: all columns of the file, in order.
        selected: the columns to read.
        dialect: how the text is cut.
        block_bytes: about how many bytes are parsed at a time.
        numbers: columns that are parsed as numbers of a type at once, which is faster, in blocks
            where all of their cells can be; elsewhere they are text.

    Rows are counted from 1, without the header and without blank lines. A row may lack cells at its
    end, which are null, as empty cells are.

    Raises:
        DataError: a row has more cells than the file has columns, a quote is left open or text
            follows it, or the text is not UTF-8; with the row.
    """
    parser = _Parser(files.where(name), columns, selected, dialect, numbers or {})
    skip: int | None = dialect.skipped_bytes
    header = dialect.header
    first_row = 1
    for block in files.blocks(
        name, size=block_bytes, encoding=dialect.encoding, row_end=parser.row_end
    ):
        if skip is not None and not block.isspace():
            block, skip = block.lstrip(b"\r\n")[skip:], None
        if header and block:
            block = block.lstrip(b"\r\n")
            end = parser.first_row_end(block)
            block, header = block[end:], not end
        if not block:
            continue
        frame = parser.parse(block, first_row)
        if frame.height:
            yield frame, first_row
        first_row += frame.height


class _Parser:
    def __init__(
        self,
        where: str,
        columns: Sequence[str],
        selected: Sequence[str],
        dialect: Dialect,
        numbers: Mapping[str, type[pl.DataType]],
    ) -> None:
        self._where = where
        self._numbers = dict(numbers)
        self._columns = list(columns)
        self._selected = list(selected)
        self._quoted = dialect.quoted
        self._double_colon = dialect.separator == "::"
        self._separator = "\t" if self._double_colon else dialect.separator
        mark = re.escape(self._separator.encode())
        self._marks = (self._separator.encode() + b'"', b'\n"')
        self._opening = re.compile(rb"(?:\A|[\n" + mark + rb'])[ ]*"')
        # A cell in quotes, or one left open to the end.
        self._cell = re.compile(rb"(?:(?<=[\n" + mark + rb'])|\A)[ ]*("[^"]*(?:""[^"]*)*(?:"|\Z))')
        self._blank_line = re.compile(rb"(?:\A|\n)[ ]*\r?(?:\n|\Z)")

    def row_end(self, block: bytes) -> int:
        """One past the last newline of a block that ends a row."""
        end = last_newline(block)
        if not self._opens(block[:end]):
            return end
        if self._is_clean(block[:end]):
            return end
        return next(reversed(self._outside(block, end)), -1) + 1

    def first_row_end(self, block: bytes) -> int:
        """One past the newline that ends the first row of a block."""
        end = block.find(b"\n") + 1
        if not self._quoted or not end or QUOTE not in block[:end]:
            return end or len(block)
        newlines = self._outside(block, last_newline(block))
        return newlines[0] + 1 if newlines else len(block)

    def _opens(self, block: bytes) -> bool:
        """Whether a double quote stands at the start of a cell."""
        if not self._quoted or QUOTE not in block:
            return False
        if block.startswith(b'"') or any(mark in block for mark in self._marks):
            return True
        return b' "' in block and self._opening.search(block) is not None

    def _has_blank_lines(self, block: bytes) -> bool:
        if b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\n", b"\r"):
            return True
        spaced = b"\n " in block or block.startswith(b" ")
        return spaced and self._blank_line.search(block) is not None

    def _outside(self, block: bytes, end: int) -> list[int]:
        """Where the newlines are that do not stand in a quoted cell."""
        newlines = np.flatnonzero(np.frombuffer(block, np.uint8, end) == NEWLINE)
        inside = np.zeros(len(newlines), bool)
        for cell in self._cell.finditer(block):
            low, high = np.searchsorted(newlines, cell.span(1))
            inside[low:high] = True
        return newlines[~inside].tolist()

    def _is_clean(self, block: bytes) -> bool:
        """Whether every double quote opens, closes or escapes as RFC 4180 says."""
        text = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(text == QUOTE)
        if len(quotes) % 2:
            return False
        opening, closing = quotes[::2], quotes[1::2]
        mark = ord(self._separator)
        before = np.where(opening > 0, text[opening - 1], NEWLINE)
        escapes = np.zeros(len(opening), bool)
        escapes[1:] = opening[1:] == closing[:-1] + 1
        after = text[np.minimum(closing + 1, len(text) - 1)]
        after = np.where(closing + 1 < len(text), after, NEWLINE)
        opens = (before == mark) | (before == NEWLINE) | escapes
        closes = (after == mark) | (after == NEWLINE) | (after == ord("\r")) | (after == QUOTE)
        return bool(opens.all() and closes.all())

    def parse(self, block: bytes, first_row: int) -> pl.DataFrame:
        """The rows of a block."""
        quoted = self._opens(block)
        n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        has_blanks = self._has_blank_lines(block)
        if quoted and (has_blanks or not self._is_clean(block)):
            return self._by_csv(block, first_row)
        if quoted:
            n_lines = self._n_rows(block)
        frame = None
        if self._numbers:
            frame = self._by_polars(block, quoted, self._numbers)
            if frame is None:
                self._numbers = {}
        if frame is None:
            frame = self._by_polars(block, quoted, {})
        if frame is None or frame.height != n_lines:
            if not quoted:
                raise self._misfit(block, first_row)
            return self._by_csv(block, first_row)
        if has_blanks:
            lines = block.split(b"\n")[:n_lines]
            frame = frame.filter(pl.Series([not _is_blank(line) for line in lines]))
        return frame

    def _n_rows(self, block: bytes) -> int:
        text = np.frombuffer(block, np.uint8)
        newlines = np.flatnonzero(text == NEWLINE)
        quotes = np.flatnonzero(text == QUOTE)
        outside = np.searchsorted(quotes, newlines) % 2 == 0
        return int(outside.sum()) + (not block.endswith(b"\n"))

    def _by_polars(
        self, block: bytes, quoted: bool, numbers: Mapping[str, type[pl.DataType]]
    ) -> pl.DataFrame | None:
        """The rows, or None where Polars refuses the block."""
        if self._double_colon:
            block = block.replace(b"::", b"\t")
        # A header of our own, since the names polars makes up differ between its versions.
        names = [f"c{i}" for i in range(len(self._columns))]
        own = {c: names[self._columns.index(c)] for c in self._selected}
        try:
            frame = pl.read_csv(
                self._separator.join(names).encode() + b"\n" + block,
                separator=self._separator,
                quote_char='"' if quoted else None,
                columns=list(own.values()),
                schema_overrides={own[c]: kind for c, kind in numbers.items()},
                infer_schema=False,
                raise_if_empty=False,
            )
        except PolarsError:
            return None
        return frame.select(pl.col(own[c]).alias(c) for c in self._selected)

    def _by_csv(self, block: bytes, first_row: int) -> pl.DataFrame:
        """The rows by Python's csv module: true for any quotes, some ten times slower."""
        places = [self._columns.index(c) for c in self._selected]
        frames = [pl.DataFrame(schema=dict.fromkeys(self._selected, pl.String))]
        rows = self._strict_rows(block, first_row)
        while part := list(islice(rows, CSV_ROWS)):
            cells = {
                c: [(row[at] or None) if at < len(row) else None for row in part]
                for c, at in zip(self._selected, places, strict=True)
            }
            frames.append(pl.DataFrame(cells, schema=dict.fromkeys(self._selected, pl.String)))
        return pl.concat(frames)

    def _strict_rows(self, block: bytes, first_row: int) -> Iterator[list[str]]:
        text = self._text(block, first_row)
        lines = (f"{line}\n" for line in text.removesuffix("\n").split("\n"))
        reader = csv.reader(lines, delimiter=self._separator, skipinitialspace=True, strict=True)
        row = first_row
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._misquoted(row, error) from None
            if len(cells) > len(self._columns):
                raise self._too_long(row, len(cells))
            if len(cells) > 1 or "".join(cells).strip():
                row += 1
                yield cells

    def _misquoted(self, row: int, error: csv.Error) -> DataError:
        reason = str(error)
        if "expected after" in reason:
            reason = "a cell opens with a double quote, and text follows the closing one"
        elif "unexpected end" in reason:
            reason = "a double quote opens a cell and is not closed"
        return DataError(
            f"{self._where}, row {row}: {reason}; double the quotes inside a quoted cell, or take "
            "quotes for characters like any other with --quoting none"
        )

    def _too_long(self, row: int, n_cells: int) -> DataError:
        return DataError(
            f"{self._where}, row {row}: the row has {n_cells} cells; {len(self._columns)} were "
            "expected, as many as the first line has; put quotes around text that holds the "
            "separator"
        )

    def _text(self, block: bytes, first_row: int) -> str:
        try:
            return block.decode("utf-8")
        except UnicodeDecodeError as wrong:
            before = block[: wrong.start].split(b"\n")[:-1]
            row = first_row + sum(not _is_blank(line) for line in before)
            raise DataError(
                f"{self._where}, row {row}: byte 0x{block[wrong.start]:02x} is not UTF-8 text; "
                "name the file's encoding, such as --encoding latin-1 or cp1252"
            ) from None

    def _misfit(self, block: bytes, first_row: int) -> DataError:
        """The error that names the first row of an unquoted block that Polars did not take."""
        separator = "::" if self._double_colon else self._separator
        lines = (line for line in self._text(block, first_row).split("\n") if line.strip(" \r"))
        for row, line in enumerate(lines, first_row):
            if line.count(separator) >= len(self._columns):
                return self._too_long(row, line.count(separator) + 1)
        return DataError(f"{self._where}, rows from {first_row}: the text cannot be cut into rows")


def _is_blank(line: bytes) -> bool:
    return not line.strip(b" \r")
