"""Split text cells that hold several items, or refuse them if they only look like lists."""

from __future__ import annotations

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.names import plain_name, words
from nearfar.tables.rules import LITERAL

HIVE = "\x02"
"""The separator of Hive's lists (Ctrl-B), which no id has."""
SEPARATORS = ("|", ";", ",", " ")
BRACKETS = {"[": "]", "(": ")", "{": "}"}
"""Brackets of JSON arrays, Python lists, tuples and sets, and PostgreSQL arrays."""
THOUSANDS = r"^\d{1,3}(?: \d{3})*$"
"""Numbers with blanks as thousands separators."""
PLURALS = frozenset(
    words(
        "items itemids products productids movies movieids films songs tracks books articles "
        "videos games recipes basket cart skus asins"
    )
)
"""Names of columns that hold several items per cell."""


class ListCells:
    """Split the cells of a text column of items, with one separator for all blocks.

    A cell is a list in these cases:

    - It is an array: "[1, 2]", "['a', 'b']".
    - It is "(1, 2)" or "{a,b}", and the column's name is a plural or a cell has a comma.
    - It has a bar, semicolon, comma or blank, and the column's name is a plural.

    Cells of a column with another name are refused if they look like lists: more than half have
    several pieces, their numbers of pieces differ, and pieces recur. Pieces between blanks must
    all have a digit.

    Args:
        where: the table's name in messages.
        column: the column of items.
        separator: the separator of items; None to infer it.

    Attributes:
        remark: a remark on the lists that were split; "" for none.
    """

    def __init__(self, where: str, column: str, separator: str | None = None) -> None:
        self._where, self._column = where, column
        self._separator = separator
        self._decided = separator is not None
        self._n_rows = self._n_events = self._n_empty = 0

    @property
    def remark(self) -> str:
        """A remark on the number of rows and of events made of them; "" for no lists."""
        if self._separator is None or not self._n_rows:
            return ""
        is_array = self._separator in BRACKETS
        form = "arrays" if is_array else f"lists separated by {self._separator!r}"
        empty = f"; {self._n_empty:,} rows with empty lists are left out" * (self._n_empty > 0)
        return (
            f"{self._column!r} holds {form}: {self._n_rows:,} rows are read as "
            f"{self._n_events:,} events{empty}"
        )

    def read(self, frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
        """Return the rows with one item each.

        Raises:
            DataError: cells look like lists, but neither the column's name nor a setting says so.
        """
        cells = frame[self._column]
        if cells.dtype != pl.String:
            return frame
        if not self._decided:
            self._infer_separator(cells.drop_nulls(), first_row)
        if self._separator is None:
            return frame
        lists = self._split(cells, first_row)
        # A null cell is a missing item, but an empty list is a row without events.
        empty = (lists.list.len() == 0).fill_null(False)
        self._n_empty += int(empty.sum())
        events = frame.with_columns(lists.alias(self._column)).filter(~empty).explode(self._column)
        self._n_rows += frame.height
        self._n_events += events.height
        return events

    def _infer_separator(self, cells: pl.Series, first_row: int) -> None:
        if not len(cells):
            return
        self._decided = True
        trimmed = cells.str.strip_chars()
        plural = plain_name(self._column) in PLURALS
        if trimmed.str.contains(HIVE, literal=True).any():
            self._separator = HIVE
            return
        for opening, closing in BRACKETS.items():
            if not (trimmed.str.starts_with(opening) & trimmed.str.ends_with(closing)).all():
                continue
            if opening == "[" or plural or trimmed.str.contains(",", literal=True).any():
                self._separator = opening
                return
        for separator in SEPARATORS:
            counts = trimmed.str.count_matches(separator, literal=True)
            if not counts.sum():
                continue
            pieces = trimmed.str.split(separator).explode().str.strip_chars()
            if plural and (separator != " " or pieces.str.contains(r"^\S*\d\S*$").all()):
                self._separator = separator
                return
            no_lists = counts.n_unique() == 1 or (
                not pieces.str.contains(r"^\S*\d\S*$").all()
                if separator == " "
                else trimmed.str.contains(r"\s").any()
            )
            if separator == " " and trimmed.str.contains(THOUSANDS).all():
                continue
            if not no_lists and (counts > 0).mean() > 0.5 and _recur(pieces, trimmed):  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
                at = int((counts > 0).arg_max() or 0)
                raise DataError(
                    f"{self._where}, row {first_row + at}: the item (column {self._column!r}) is "
                    f"{trimmed[at][:60]!r}, and many such cells look like lists of items; split "
                    f"them with --item-separator '{separator}' (in Python: "
                    "RowRules(item_separator=...); in settings: item_separator), or read them as "
                    f"ids with {LITERAL}"
                )

    def _split(self, cells: pl.Series, first_row: int) -> pl.Series:
        assert self._separator is not None
        if self._separator not in BRACKETS:
            lists = cells.str.split(self._separator)
            return lists.list.eval(pl.element().str.strip_chars()).list.eval(
                pl.element().filter(pl.element() != "")
            )
        text = cells.str.strip_chars()
        if self._separator != "[":
            text = self._as_json_arrays(text, first_row)
        if not text.str.contains('"', literal=True).any():
            text = text.str.replace_all("'", '"', literal=True)
        try:
            return text.str.json_decode(pl.List(pl.String))
        except PolarsError:
            raise self._not_arrays(first_row) from None

    def _as_json_arrays(self, cells: pl.Series, first_row: int) -> pl.Series:
        """Convert tuples, sets and PostgreSQL arrays, also of unquoted pieces, to JSON arrays."""
        opening = str(self._separator)
        closing = BRACKETS[opening]
        present = cells.drop_nulls()
        if not (present.str.starts_with(opening) & present.str.ends_with(closing)).all():
            raise self._not_arrays(first_row)
        inner = (
            cells.str.slice(1, cells.str.len_chars() - 2).str.strip_chars().str.strip_suffix(",")
        )
        unquoted = ~inner.str.contains("[\"']").fill_null(True)
        pieces = inner.str.split(",").list.eval(pl.element().str.strip_chars())
        # A blank or a colon inside an unquoted piece means another type, such as a dictionary.
        if pieces.filter(unquoted).explode().str.contains(r"[\s:\\]").any():
            raise self._not_arrays(first_row)
        quoted = '"' + pieces.list.join('","') + '"'
        return pl.select(
            "["
            + pl.when(unquoted & (inner != ""))
            .then(quoted)
            .otherwise(inner.str.replace_all("'", '"'))
            + "]"
        ).to_series()

    def _not_arrays(self, first_row: int) -> DataError:
        return DataError(
            f"{self._where}, rows from {first_row}: the items (column {self._column!r}) have "
            "the brackets of arrays but are not arrays; write one row per item, or read them as "
            f"ids with {LITERAL}"
        )


def _recur(pieces: pl.Series, cells: pl.Series) -> bool:
    """Return whether several cells have the same pieces."""
    return pieces.n_unique() <= cells.n_unique()
