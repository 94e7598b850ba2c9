"""Cells of text that hold several items: taken apart where that is plain, else refused."""

from __future__ import annotations

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.names import plain_name, words

SEPARATORS = ("|", ";", ",", " ")
BRACKETS = {"[": "]", "(": ")", "{": "}"}
"""Around arrays of JSON and lists, tuples and sets of Python, and arrays of PostgreSQL."""
THOUSANDS = r"^\d{1,3}(?: \d{3})*$"
"""Numbers with blanks between their thousands."""
PLURALS = frozenset(
    words(
        "items itemids products productids movies movieids films songs tracks books articles "
        "videos games recipes basket cart skus asins"
    )
)
"""Columns that say themselves that they hold several items."""


class ListCells:
    """Takes apart the cells of a text's column of items, all blocks in the same way.

    An array ("[1, 2]", "['a', 'b']") is a list. So are "(1, 2)" and "{a,b}" where the column's name
    is a plural or a cell has a comma; other ids may stand in such brackets. So are cells that
    separate pieces by a bar, semicolon, comma or blank where the column's name is a plural. Under
    another name such cells are refused if they look like lists: more than half have pieces, not all
    the same number, and pieces recur; of pieces between blanks each has a digit.

    Args:
        where: how messages name the table.
        column: of the items.
        separator: between the pieces, where it is known.

    Attributes:
        remark: what was taken apart; empty where nothing was.
    """

    def __init__(self, where: str, column: str, separator: str | None = None) -> None:
        self._where, self._column = where, column
        self._separator = separator
        self._decided = separator is not None
        self._n_rows = self._n_events = self._n_empty = 0

    @property
    def remark(self) -> str:
        """How many rows became how many events."""
        if self._separator is None or not self._n_rows:
            return ""
        arrays = self._separator in BRACKETS
        how = "arrays" if arrays else f"lists separated by {self._separator!r}"
        empty = f"; {self._n_empty:,} rows hold nothing and are left out" * (self._n_empty > 0)
        return (
            f"{self._column!r} holds {how}: {self._n_rows:,} rows are {self._n_events:,} events"
            f"{empty}"
        )

    def read(self, frame: pl.DataFrame, first_row: int) -> pl.DataFrame:
        """The rows, with one item each.

        Raises:
            DataError: cells look like lists, and nothing says that they are.
        """
        cells = frame[self._column]
        if cells.dtype != pl.String:
            return frame
        if not self._decided:
            self._decide(cells.drop_nulls(), first_row)
        if self._separator is None:
            return frame
        lists = self._taken_apart(cells, first_row)
        # A cell without a value is a missing item; an empty list is a row without events.
        empty = (lists.list.len() == 0).fill_null(False)
        self._n_empty += int(empty.sum())
        parts = frame.with_columns(lists.alias(self._column)).filter(~empty).explode(self._column)
        self._n_rows += frame.height
        self._n_events += parts.height
        return parts

    def _decide(self, cells: pl.Series, first_row: int) -> None:
        if not len(cells):
            return
        self._decided = True
        trimmed = cells.str.strip_chars()
        plural = plain_name(self._column) in PLURALS
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
            alike = counts.n_unique() == 1 or (
                not pieces.str.contains(r"^\S*\d\S*$").all()
                if separator == " "
                else trimmed.str.contains(r"\s").any()
            )
            if separator == " " and trimmed.str.contains(THOUSANDS).all():
                continue
            if not alike and (counts > 0).mean() > 0.5 and _recur(pieces, trimmed):  # pyright: ignore[reportOptionalOperand, reportOperatorIssue]
                at = int((counts > 0).arg_max() or 0)
                raise DataError(
                    f"{self._where}, row {first_row + at}: the item (column {self._column!r}) is "
                    f"{trimmed[at][:60]!r}, and many like it look like lists of items; take them "
                    f"apart with --item-separator '{separator}' (in Python: "
                    "RowRules(item_separator=...); in settings: item_separator), or take them for "
                    "ids with --literal-ids (in settings: literal_ids = true)"
                )

    def _taken_apart(self, cells: pl.Series, first_row: int) -> pl.Series:
        assert self._separator is not None
        if self._separator not in BRACKETS:
            lists = cells.str.split(self._separator)
            return lists.list.eval(pl.element().str.strip_chars()).list.eval(
                pl.element().filter(pl.element() != "")
            )
        text = cells.str.strip_chars()
        if self._separator != "[":
            text = self._as_array(text, first_row)
        if not text.str.contains('"', literal=True).any():
            text = text.str.replace_all("'", '"', literal=True)
        try:
            return text.str.json_decode(pl.List(pl.String))
        except PolarsError:
            raise self._no_arrays(first_row) from None

    def _as_array(self, cells: pl.Series, first_row: int) -> pl.Series:
        """Tuples, sets and arrays of PostgreSQL as arrays of JSON; pieces may lack quotes."""
        opening = str(self._separator)
        closing = BRACKETS[opening]
        known = cells.drop_nulls()
        if not (known.str.starts_with(opening) & known.str.ends_with(closing)).all():
            raise self._no_arrays(first_row)
        inner = (
            cells.str.slice(1, cells.str.len_chars() - 2).str.strip_chars().str.strip_suffix(",")
        )
        bare = ~inner.str.contains("[\"']").fill_null(True)
        pieces = inner.str.split(",").list.eval(pl.element().str.strip_chars())
        # A blank or a colon inside a bare piece tells of something else, such as a dictionary.
        if pieces.filter(bare).explode().str.contains(r"[\s:\\]").any():
            raise self._no_arrays(first_row)
        quoted = '"' + pieces.list.join('","') + '"'
        return pl.select(
            "["
            + pl.when(bare & (inner != "")).then(quoted).otherwise(inner.str.replace_all("'", '"'))
            + "]"
        ).to_series()

    def _no_arrays(self, first_row: int) -> DataError:
        return DataError(
            f"{self._where}, rows from {first_row}: the items (column {self._column!r}) begin "
            "and end as arrays do and are none; write a row per item, or take them for ids "
            "with --literal-ids"
        )


def _recur(pieces: pl.Series, cells: pl.Series) -> bool:
    """Whether the same pieces stand in several cells."""
    return pieces.n_unique() <= cells.n_unique()
