"""A table of delimited text, which may repeat its header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.blank_lines import BlankLines
from nearfar.tables.delimited import read_blocks
from nearfar.tables.dialect import Dialect, TextOptions, sniff
from nearfar.tables.reader import Numbers, SampledFiles, TableReader, TextFiles
from nearfar.tables.second_table import SecondHeader


class TextTable(TableReader):
    """A table of delimited text.

    Args:
        files, name: the file.
        columns: the names of its columns, in order.
        dialect: the separator, quoting and header of the text.
        block_bytes: about how many bytes are parsed at a time.
    """

    typed = False

    def __init__(
        self,
        files: TextFiles,
        name: str,
        columns: list[str],
        dialect: Dialect,
        block_bytes: int,
    ) -> None:
        self.where = files.where(name)
        self.columns = columns
        self._files, self._name = files, name
        self._dialect, self._block_bytes = dialect, block_bytes

    @classmethod
    def sniffed(
        cls, files: SampledFiles, name: str, options: TextOptions, block_bytes: int
    ) -> TextTable:
        """Return the table of a file whose columns and dialect are inferred from its start."""
        dialect, columns = sniff(files, name, options)
        table = cls(files, name, columns, dialect, block_bytes)
        table.layout = str(dialect)
        table.decimal_comma = dialect.separator != ","
        return table

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        n_headers = n_rows = n_gaps = 0
        blank = BlankLines()
        second_header = SecondHeader(self.where, self.columns) if self._dialect.header else None
        for frame, first_row in read_blocks(
            self._files,
            self._name,
            self.columns,
            selected,
            self._dialect,
            self._block_bytes,
            numbers,
            blank,
        ):
            n_rows += frame.height
            is_header = None
            if second_header is not None:
                is_header = self._repeated_headers(frame, first_row)
                rows = frame if is_header is None else _emptied(frame, is_header)
                second_header.refuse(rows, first_row, blank.gaps[n_gaps:])
                # The last gap may be above the first row of the next block.
                n_gaps = max(len(blank.gaps) - 1, 0)
            yield frame if is_header is None else frame.filter(~is_header), first_row - n_headers
            n_headers += 0 if is_header is None else int(is_header.sum())
        place = "header" if self._dialect.header else "first row"
        lines = f"{self._dialect.n_skipped:,} lines before the {place}"
        self.remarks = [f"left out: {lines} of {self.where}"] if self._dialect.n_skipped else []
        if n_headers:
            self.remarks.append(f"left out: {n_headers:,} repeated header lines in {self.where}")
        self.remarks += blank.remarks(self.where, n_rows)

    def _repeated_headers(self, frame: pl.DataFrame, first_row: int) -> pl.Series | None:
        """Return a mask of the rows that repeat the header, as in joined files; None for none.

        Raises:
            DataError: a row has the column names in another order than the header.
        """
        if any(frame[column].dtype != pl.String for column in frame.columns):
            return None
        names = _as_name(pl.Series(self.columns))
        # Few blocks repeat the header, so first look for any of its names in the first column.
        any_name = "|".join(re.escape(name) for name in names if name)
        if not frame.to_series(0).str.contains(f'(?i)^[\ufeff "#]*(?:{any_name})[ "]*$').any():
            return None
        has_names = pl.repeat(True, frame.height, eager=True)
        is_same = has_names
        for column in frame.columns:
            cells = _as_name(frame[column])
            has_names &= cells.is_in(names.implode()).fill_null(False)
            is_same &= (cells == _as_name(pl.Series([column]))[0]).fill_null(False)
            if not has_names.any():
                return None
        if len(frame.columns) == 1:
            return (frame.to_series().str.strip_chars("\ufeff #") == frame.columns[0]).fill_null(
                False
            )
        for at in (has_names & ~is_same).arg_true():
            if len(set(frame.row(at))) == len(frame.columns):
                raise DataError(
                    f"{self.where}, row {first_row + at}: this is a second header, with the "
                    f"columns in another order ({', '.join(map(repr, frame.row(at)))}); write each "
                    "part to its own file"
                )
        return is_same


def _emptied(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """Return a frame whose cells are null in the given rows."""
    return frame.with_columns(pl.when(~rows).then(pl.all()))


def _as_name(cells: pl.Series) -> pl.Series:
    """Return cells in the form in which column names are compared."""
    return cells.str.strip_chars('\ufeff "#').str.to_lowercase()
