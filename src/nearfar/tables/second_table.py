"""Detect a second table below the first one in a text file, by its header or a blank line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.comments import is_number
from nearfar.tables.names import GENRES, RARER, SYNONYMS, TITLES, plain_name, words

HEADINGS = frozenset(
    words(
        "price stock title name category brand description total amount count date day month year "
        "age gender sex country city region state zip email phone address currency type status "
        "color colour size segment genre language store warehouse cost revenue sales discount tax "
        "summary key value id code notes comment url"
    )
) | frozenset(chain(TITLES, GENRES, *SYNONYMS.values(), *chain(*RARER.values())))
"""Usual column names of logs and of tables of customers, products and totals."""
CODES = frozenset(words("sku asin isbn ean gtin upc"))
NAMED_ID = r"\p{L}+[ _-]?(?:id|key|code|number|no|sku)"
MANY_GAPS = 1000
"""So many rows below blank lines are checked even if they are most rows of a block."""
AROUND = "\ufeff \"'"


class SecondHeader:
    """Detect the header of another table among the rows of a table.

    A row is a header if none of its cells is a number and one cell is the name of an id ("item_id",
    "SKU"). The first line must have that name too, or the row must have another usual column name.
    Below a blank line, one name of an id is enough, or two usual column names.

    Args:
        where: the table's name in messages.
        columns: the column names in the first line.
    """

    def __init__(self, where: str, columns: Sequence[str]) -> None:
        self._where = where
        self._first_header = {plain_name(column) for column in columns if column}
        ids = [c.lower() for c in columns if re.search(r"[_\W]|(?i:id)$", c)]
        names = "|".join([NAMED_ID, *map(re.escape, ids)])
        self._pattern = rf"(?i)^[{AROUND}\s]*(?:{names})[{AROUND}\s]*$"

    def refuse(self, frame: pl.DataFrame, first_row: int, gaps: Sequence[int]) -> None:
        """Raise if a row of a block is the header of another table.

        Args:
            frame: the block; repetitions of the first line are emptied.
            first_row: the number of the block's first row.
            gaps: the numbers of the rows below a blank line; ignored if they are most rows of a
                long block.

        Raises:
            DataError: a row is such a header; the message has its number.
        """
        texts = [frame[c] for c in frame.columns[:2] if frame[c].dtype == pl.String]
        below_gap = {row - first_row for row in gaps}
        if len(below_gap) > max(MANY_GAPS, frame.height // 2):  # doubled line ends
            below_gap = set()
        if frame.to_series(0).null_count():
            empty = frame.select(pl.all_horizontal(pl.all().is_null())).to_series()
            below_gap |= {at + 1 for at in empty.arg_true()}
        candidates = {at for at in below_gap if 0 <= at < frame.height}
        for cells in texts:
            candidates |= set(cells.str.contains(self._pattern).fill_null(False).arg_true())
        for at in sorted(candidates):
            row = [cell for cell in frame.row(at) if cell is not None]
            if self._is_header(row, below_gap=at in below_gap):
                cells = ", ".join(map(repr, row))
                raise DataError(
                    f"{self._where}, row {first_row + at}: this is the header of another table "
                    f"({cells}); write each table to its own file"
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
        repeated_ids = self._first_header.intersection(ids)
        known_ids = HEADINGS.intersection(ids)
        n_usual = sum(name in HEADINGS or name in self._first_header for name in names)
        if below_gap:
            return bool(repeated_ids or known_ids) or n_usual > 1
        return bool(repeated_ids) or (bool(known_ids) and n_usual > 1)
