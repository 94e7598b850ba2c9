"""Delimited text as a table, whose header may come again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.delimited import read_blocks
from nearfar.tables.dialect import Dialect, TextOptions, sniff
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import Numbers, TableReader
from nearfar.tables.second_table import SecondHeader, remark_on_gaps


class TextTable(TableReader):
    """Delimited text.

    Args:
        files, name: the file.
        columns: the names of its columns, in order.
        dialect: how the text is cut.
        block_bytes: about how many bytes are parsed at a time.
    """

    typed = False

    def __init__(
        self,
        files: RawFiles,
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
        cls, files: RawFiles, name: str, options: TextOptions, block_bytes: int
    ) -> TextTable:
        """A text file whose columns and dialect are told by its start and the options."""
        dialect, columns = sniff(files, name, options)
        table = cls(files, name, columns, dialect, block_bytes)
        table.layout = str(dialect)
        table.decimal_comma = dialect.separator != ","
        return table

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        n_again = n_rows = 0
        gaps: list[int] = []
        second = SecondHeader(self.where, self.columns) if self._dialect.header else None
        for frame, first_row in read_blocks(
            self._files,
            self._name,
            self.columns,
            selected,
            self._dialect,
            self._block_bytes,
            numbers,
            gaps,
        ):
            n_rows += frame.height
            again = self._headers(frame, first_row) if second is not None else None
            if second is not None:
                second.refuse(frame if again is None else _emptied(frame, again), first_row, gaps)
            yield frame if again is None else frame.filter(~again), first_row - n_again
            n_again += 0 if again is None else int(again.sum())
        lines = f"{self._dialect.n_skipped:,} lines before the header"
        self.remarks = [f"left out: {lines} of {self.where}"] if self._dialect.n_skipped else []
        if n_again:
            self.remarks.append(f"left out: {n_again:,} repeated header lines in {self.where}")
        if remark := remark_on_gaps(self.where, gaps, n_rows):
            self.remarks.append(remark)

    def _headers(self, frame: pl.DataFrame, first_row: int) -> pl.Series | None:
        """Which rows are the header again, as in files that were joined; None for none.

        Raises:
            DataError: a header names the columns in another order than the first one.
        """
        if any(frame[column].dtype != pl.String for column in frame.columns):
            return None
        names = _as_name(pl.Series(self.columns))
        # Blocks are long and hold no header but for the rarest.
        some = "|".join(re.escape(name) for name in names if name)
        if not frame.to_series(0).str.contains(f'(?i)^[\ufeff "]*(?:{some})[ "]*$').any():
            return None
        known = pl.repeat(True, frame.height, eager=True)
        same = known
        for column in frame.columns:
            cells = _as_name(frame[column])
            known &= cells.is_in(names.implode()).fill_null(False)
            same &= (cells == _as_name(pl.Series([column]))[0]).fill_null(False)
            if not known.any():
                return None
        if len(frame.columns) == 1:
            return (frame.to_series().str.strip_chars("\ufeff ") == frame.columns[0]).fill_null(
                False
            )
        for at in (known & ~same).arg_true():
            if len(set(frame.row(at))) == len(frame.columns):
                raise DataError(
                    f"{self.where}, row {first_row + at}: the columns are named again, in another "
                    f"order ({', '.join(map(repr, frame.row(at)))}); read the parts as files of "
                    "their own"
                )
        return same


def _emptied(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """A frame whose cells in some rows are null."""
    return frame.with_columns(pl.when(~rows).then(pl.all()))


def _as_name(cells: pl.Series) -> pl.Series:
    """Cells as the names of columns are compared with them."""
    return cells.str.strip_chars('\ufeff "').str.to_lowercase()
