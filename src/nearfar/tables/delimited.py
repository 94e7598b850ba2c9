"""Read delimited text in blocks, into columns of text, without losing or joining rows.

Polars parses a block if no cell starts with a quote, or if every quote follows RFC 4180. Else it
can misread quotes without an error, so Python's strict csv module reads the block, slowly. The
number of rows is compared with the number of lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.blank_lines import BlankLines, EmptyRows
from nearfar.tables.dialect import ALIGNED, Dialect
from nearfar.tables.quotes import NEWLINE, Quotes
from nearfar.tables.raw import BLOCK_BYTES, MAX_LINE_BYTES
from nearfar.tables.reader import TextFiles

CSV_ROWS = 50_000
OVERFLOW = "overflow"
"""The column of cells beyond the file's columns."""


def read_blocks(
    files: TextFiles,
    name: str,
    columns: Sequence[str],
    selected: Sequence[str],
    dialect: Dialect,
    block_bytes: int = BLOCK_BYTES,
    numbers: Mapping[str, type[pl.DataType]] | None = None,
    blank: BlankLines | None = None,
) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield blocks of a file's rows as text, with the number of each block's first row.

    Rows are counted from 1, without the header and blank lines. Empty cells, and cells missing at
    the end of a row, are null.

    Args:
        files, name: the file.
        columns: all columns of the file, in order.
        selected: the columns to read.
        dialect: the separator, quoting and header of the text.
        block_bytes: about how many bytes are parsed at a time.
        numbers: the number type of columns to parse early, which is faster. In a block with a cell
            that is not such a number they stay text.
        blank: updated with the lines without a value, which are left out.

    Raises:
        DataError: a row has more cells than the file has columns, a quote is not closed or text
            follows it, or the text is not UTF-8; the message has the row.
    """
    blank = BlankLines() if blank is None else blank
    parser = _Parser(files.where(name), columns, selected, dialect, numbers or {}, blank)
    n_skip = dialect.skipped_bytes
    header = dialect.header
    first_row = 1
    for block in files.blocks(
        name, size=block_bytes, encoding=dialect.encoding, row_end=parser.quotes.row_end
    ):
        if n_skip:
            if n_skip == dialect.skipped_bytes:
                block = b"" if block.isspace() else block.lstrip(b"\r\n")
            block, n_skip = block[n_skip:], max(n_skip - len(block), 0)
        if header and block:
            block = block.lstrip(b"\r\n")
            end = parser.quotes.first_row_end(block)
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
        blank: BlankLines,
    ) -> None:
        self._where, self._blank = where, blank
        self._numbers = dict(numbers)
        self._columns = list(columns)
        self._selected = list(selected)
        self._trusts_quotes = dialect.trusts_quotes
        self._double_colon = dialect.separator == "::"
        # Polars takes a separator of one byte; text does not contain this one.
        self._separator = "\x1f" if self._double_colon else dialect.separator
        self._aligned = dialect.separator == ALIGNED
        if self._aligned:
            self._separator = " "
        self.quotes = Quotes(self._separator, dialect.quoted)
        self._empty_rows = EmptyRows(self._separator)
        self._blank_line = re.compile(rb"(?:\A|\n)[ ]*\r?\n|\n[ ]+\r?\Z")

    def _has_blank_lines(self, block: bytes) -> bool:
        if b"\n\n" in block or b"\n\r\n" in block or block[:1] in (b"\n", b"\r"):
            return True
        spaced = b"\n " in block or block.startswith(b" ")
        return spaced and self._blank_line.search(block) is not None

    def parse(self, block: bytes, first_row: int) -> pl.DataFrame:
        """Return the rows of a block."""
        if self._double_colon:
            block = block.replace(b"::", b"\x1f")
        if self._aligned:
            block = re.sub(rb" *(\r?\n) *", rb"\1", re.sub(rb" {2,}", b" ", block)).strip(b" ")
        quoted = self.quotes.opens(block)
        has_empty_rows = self._empty_rows.found(block)
        if has_empty_rows and not quoted:
            block, n_empty = self._empty_rows.blanked(block)
            self._blank.n_empty_rows += n_empty
        n_lines = block.count(b"\n") + (not block.endswith(b"\n"))
        if quoted:
            if not self._trusts_quotes:
                self._refuse_swallowed_rows(block, first_row)
        elif b"\r" in block and block.count(b"\r") > block.count(b"\r\n") + block.endswith(b"\r"):
            raise self._carriage_return_error(block, first_row)
        has_gaps = has_empty_rows or self._has_blank_lines(block)
        if quoted and (has_gaps or not self.quotes.are_clean(block)):
            return self._by_csv(block, first_row)
        if quoted:
            n_lines = self.quotes.n_rows(block)
        frame = None
        if self._numbers:
            frame = self._by_polars(block, quoted, self._numbers)
            if frame is None:
                self._numbers = {}
        if frame is None:
            frame = self._by_polars(block, quoted, {})
        if frame is None or frame.height != n_lines:
            if not quoted:
                self._refuse_long_rows(block, first_row, quoted)
            return self._by_csv(block, first_row, quoted=quoted)
        overflow = frame[OVERFLOW]
        if overflow.null_count() < len(overflow) or not self._is_regular(block, n_lines, quoted):
            self._refuse_long_rows(block, first_row, quoted)
        frame = frame.drop(OVERFLOW)
        # All cells of a blank line are null, unless it has spaces.
        may_have_blank = all(frame[c].null_count() for c in frame.columns) or b"\n " in block
        if (
            (may_have_blank or block.startswith(b" "))
            and not quoted
            and self._has_blank_lines(block)
        ):
            lines = block.split(b"\n")[:n_lines]
            is_row = pl.Series([not _is_blank(line) for line in lines])
            self._blank.gaps += (is_row.cum_sum() + first_row).filter(~is_row).unique().to_list()
            frame = frame.filter(is_row)
        return frame

    def _by_polars(
        self, block: bytes, quoted: bool, numbers: Mapping[str, type[pl.DataType]]
    ) -> pl.DataFrame | None:
        """Return the rows, or None if Polars refuses the block."""
        # Polars versions differ in the names of columns without a header, so add one. It has one
        # more column, because Polars ignores cells beyond the selected columns.
        names = [f"c{i}" for i in range(len(self._columns))]
        renamed = {c: names[self._columns.index(c)] for c in self._selected}
        try:
            frame = pl.read_csv(
                self._separator.join([*names, OVERFLOW]).encode() + b"\n" + block,
                separator=self._separator,
                quote_char='"' if quoted else None,
                columns=[*renamed.values(), OVERFLOW],
                schema_overrides={renamed[c]: dtype for c, dtype in numbers.items()},
                infer_schema=False,
                raise_if_empty=False,
            )
        except PolarsError:
            return None
        return frame.select(*(pl.col(renamed[c]).alias(c) for c in self._selected), OVERFLOW)

    def _is_regular(self, block: bytes, n_rows: int, quoted: bool) -> bool:
        """Return whether the block has as many separators as full rows have."""
        n_separators = block.count(self._separator.encode())
        if quoted:
            n_separators = len(self.quotes.separators_outside(block))
        return n_separators == n_rows * (len(self._columns) - 1)

    def _refuse_long_rows(self, block: bytes, first_row: int, quoted: bool) -> None:
        """Raise for the first row with too many cells; empty cells at its end do not count."""
        text = np.frombuffer(block, np.uint8)
        newlines = np.flatnonzero(text == NEWLINE)
        if quoted:
            newlines = self.quotes.outside_quotes(text, newlines)
        ends = np.append(newlines, len(block)) if not block.endswith(b"\n") else newlines
        separators = self.quotes.separators_outside(block) if quoted else np.flatnonzero(
            text == ord(self._separator)
        )  # fmt: skip
        counts = np.diff(np.searchsorted(separators, ends), prepend=0)
        for at in np.flatnonzero(counts >= len(self._columns)):
            before = int(ends[at - 1]) + 1 if at else 0
            first = np.searchsorted(separators, before)
            beyond = block[separators[first + len(self._columns) - 1] : ends[at]]
            if beyond.strip(self._separator.encode() + b" \r"):
                n_blank = sum(map(_is_blank, block[:before].split(b"\n")[:-1]))
                raise self._long_row_error(int(first_row + at - n_blank), int(counts[at]) + 1)

    def _refuse_swallowed_rows(self, block: bytes, first_row: int) -> None:
        """Raise for a quoted cell whose lines all look like rows of the file."""
        places = [self._columns.index(c) for c in self._selected]
        swallowed = self.quotes.swallowed_rows(block, places, len(self._columns))
        if swallowed is not None:
            raise DataError(
                f"{self._where}, row {first_row + swallowed.row}: a double quote opens a cell that "
                f"spans {swallowed.n_lines} more lines, which look like rows; close the quote, or "
                "read quotes as ordinary characters with --quoting none; if these lines are text "
                "of the cell, set --quoting double"
            )

    def _carriage_return_error(self, block: bytes, first_row: int) -> DataError:
        lines = [line for line in block.split(b"\n") if not _is_blank(line)]
        row = next(i for i, line in enumerate(lines) if b"\r" in line.removesuffix(b"\r"))
        return DataError(
            f"{self._where}, row {first_row + row}: a carriage return is inside the row; write "
            "all line ends in the same way"
        )

    def _by_csv(self, block: bytes, first_row: int, *, quoted: bool = True) -> pl.DataFrame:
        """Return the rows as Python's csv module reads them: right for any quotes, but slow."""
        places = [self._columns.index(c) for c in self._selected]
        frames = [pl.DataFrame(schema=dict.fromkeys(self._selected, pl.String))]
        rows = self._strict_rows(block, first_row, quoted)
        while batch := list(islice(rows, CSV_ROWS)):
            cells = {
                c: [(row[at] or None) if at < len(row) else None for row in batch]
                for c, at in zip(self._selected, places, strict=True)
            }
            frames.append(pl.DataFrame(cells, schema=dict.fromkeys(self._selected, pl.String)))
        return pl.concat(frames)

    def _strict_rows(self, block: bytes, first_row: int, quoted: bool) -> Iterator[list[str]]:
        text = self._text(block, first_row)
        csv.field_size_limit(MAX_LINE_BYTES)
        lines = (f"{line}\n" for line in text.removesuffix("\n").split("\n"))
        quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        reader = csv.reader(
            lines, delimiter=self._separator, skipinitialspace=quoted, strict=True, quoting=quoting
        )
        row = first_row
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._quote_error(row, error) from None
            if any(cell.strip() for cell in cells[len(self._columns) :]):
                raise self._long_row_error(row, len(cells))
            if any(cell.strip() for cell in cells):
                row += 1
                yield cells
            elif len(cells) > 1:
                self._blank.n_empty_rows += 1
            else:
                self._blank.gaps.append(row)

    def _quote_error(self, row: int, error: csv.Error) -> DataError:
        reason = str(error)
        if "expected after" in reason:
            reason = "text follows the closing quote of a cell"
        elif "unexpected end" in reason:
            reason = "a double quote opens a cell and is not closed"
        return DataError(
            f"{self._where}, row {row}: {reason}; double the quotes inside a quoted cell, or read "
            "quotes as ordinary characters with --quoting none"
        )

    def _long_row_error(self, row: int, n_cells: int) -> DataError:
        return DataError(
            f"{self._where}, row {row}: the row has {n_cells} cells; expected "
            f"{len(self._columns)}, like the first line; put quotes around text with the "
            "separator in it, and give every column a name"
        )

    def _text(self, block: bytes, first_row: int) -> str:
        try:
            return block.decode("utf-8")
        except UnicodeDecodeError as wrong:
            before = block[: wrong.start].split(b"\n")[:-1]
            row = first_row + sum(not _is_blank(line) for line in before)
            raise DataError(
                f"{self._where}, row {row}: byte 0x{block[wrong.start]:02x} is not UTF-8 text; "
                "set the file's encoding, such as --encoding latin-1 or cp1252"
            ) from None


def _is_blank(line: bytes) -> bool:
    return not line.strip(b" \r")
