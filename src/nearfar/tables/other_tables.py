"""A second table below the first one in the same text file: told by the names of its columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.dialect import is_number
from nearfar.tables.names import GENRES, RARER, SYNONYMS, TITLES, plain_name, words

HEADINGS = frozenset(
    words(
        "price stock title name category brand description total amount count date day month year "
        "age gender sex country city region state zip email phone address currency type status "
        "color colour size segment genre language store warehouse cost revenue sales discount tax "
        "summary key value id code notes comment url"
    )
) | frozenset(chain(TITLES, GENRES, *SYNONYMS.values(), *chain(*RARER.values())))
"""What columns are called in tables of customers, products, sums and the like."""
CODES = frozenset(words("sku asin isbn ean gtin upc"))
NAMED_ID = r"\p{L}+[ _-]?(?:id|key|code|number|no|sku)"
AROUND = "\ufeff \"'"


class SecondHeader:
    """Finds the header of another table among the rows of one.

    A row of the log holds values; a header names columns. A row is taken for a header where none
    of its cells is a number, and one of them is the name of an id ("item_id", "SKU") that the first
    line has too, or that stands beside another usual name of a column. After a blank line one such
    name is enough, or two usual names of any columns.

    Args:
        where: how messages name the table.
        columns: of the first line.
    """

    def __init__(self, where: str, columns: Sequence[str]) -> None:
        self._where = where
        self._own = {plain_name(column) for column in columns if column}
        ids = [c.lower() for c in columns if re.search(r"[_\W]|(?i:id)$", c)]
        names = "|".join([NAMED_ID, *map(re.escape, ids)])
        self._pattern = rf"(?i)^[{AROUND}\s]*(?:{names})[{AROUND}\s]*$"

    def refuse(self, frame: pl.DataFrame, first_row: int, gaps: Sequence[int]) -> None:
        """Raise for a row of a block that is the header of another table.

        Args:
            frame: the block, without repetitions of the first line.
            first_row: the number of its first row.
            gaps: the numbers of rows that stand below a blank line.

        Raises:
            DataError: there is one; with its row.
        """
        texts = [frame[c] for c in frame.columns[:2] if frame[c].dtype == pl.String]
        below_gap = {row - first_row for row in gaps}
        if frame.to_series(0).null_count():
            empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
            below_gap |= {at + 1 for at in empty.arg_true()}
        suspect = {at for at in below_gap if 0 <= at < frame.height}
        for cells in texts:
            suspect |= set(cells.str.contains(self._pattern).fill_null(False).arg_true())
        for at in sorted(suspect):
            row = [cell for cell in frame.row(at) if cell is not None]
            if self._is_header(row, below_gap=at in below_gap):
                cells = ", ".join(map(repr, row))
                raise DataError(
                    f"{self._where}, row {first_row + at}: the columns of another table are named "
                    f"there ({cells}); write each table to a file of its own"
                )

    def _is_header(self, row: Sequence[object], *, below_gap: bool) -> bool:
        cells = [cell.strip(AROUND) for cell in row if isinstance(cell, str)]
        if len(cells) < len(row) or len(set(cells)) < len(cells) or any(map(is_number, cells)):
            return False
        names = [plain_name(cell) for cell in cells]
        ids = [
            name for cell, name in zip(cells, names, strict=True)
            if re.search(r"[_ -]|[iI][dD]$|[a-z][A-Z]", cell) or name in CODES
        ]  # fmt: skip
        own_ids = self._own.intersection(ids)
        known_ids = HEADINGS.intersection(ids)
        n_usual = sum(name in HEADINGS or name in self._own for name in names)
        if below_gap:
            return bool(own_ids or known_ids) or n_usual > 1
        return bool(own_ids) or (bool(known_ids) and n_usual > 1)


def remark_on_gaps(where: str, gaps: Sequence[int], n_rows: int) -> str:
    """Name blank lines between rows: another table or a footer may begin there; "" without any.

    Args:
        where: how messages name the table.
        gaps: the numbers of rows that stand below a blank line.
        n_rows: how many rows the table has.
    """
    inside = sorted({row for row in gaps if 1 < row <= n_rows})
    # Every other line is blank where line ends were doubled.
    if not inside or 2 * len(inside) > n_rows:
        return ""
    lines = (
        "a blank line stands"
        if len(inside) == 1
        else f"blank lines stand in {len(inside):,} places"
    )
    return (
        f"{lines} between rows of {where}, the first above row {inside[0]:,} of {n_rows:,}; if "
        "another table or a footer begins there, write it to a file of its own"
    )
