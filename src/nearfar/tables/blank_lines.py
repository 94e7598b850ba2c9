"""Find the lines of a text table that have no value: blank ones, and separators alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class BlankLines:
    """The lines without a value that were left out of a table.

    Attributes:
        gaps: the numbers of the rows below a blank line.
        n_empty_rows: the number of rows of separators alone (",,,"), as spreadsheets write them
            below and between the rows that are filled.
    """

    gaps: list[int] = field(default_factory=list)
    n_empty_rows: int = 0

    def remarks(self, where: str, n_rows: int) -> list[str]:
        """Return remarks on the lines.

        Args:
            where: the table's name in messages.
            n_rows: the number of rows of the table.
        """
        rows = "1 row" if self.n_empty_rows == 1 else f"{self.n_empty_rows:,} rows"
        empty = f"left out: {rows} of empty cells in {where}" if self.n_empty_rows else ""
        return [*filter(None, [empty, _remark_on_gaps(where, self.gaps, n_rows)])]


class EmptyRows:
    """Find the rows of separators alone in blocks of text without quotes.

    Args:
        separator: the separator of cells, one byte.
    """

    def __init__(self, separator: str) -> None:
        mark = re.escape(separator.encode())
        self._start = b"\n" + separator.encode()
        self._row = re.compile(rb"(?m)^[ ]*(?:" + mark + rb"[ ]*)+(?=\r?$)")
        # Blanks between aligned columns make no cells.
        self._enabled = separator != " "

    def found(self, block: bytes) -> bool:
        """Return whether a row has no value. It is fast where no row begins with a separator."""
        if not self._enabled or (self._start not in block and block[:1] != self._start[1:]):
            return False
        return self._row.search(block) is not None

    def blanked(self, block: bytes) -> tuple[bytes, int]:
        """Return the block with blank lines in place of these rows, and their number."""
        return self._row.subn(b"", block)


def _remark_on_gaps(where: str, gaps: Sequence[int], n_rows: int) -> str:
    """Return a remark on blank lines between rows, where another table may begin; "" for none."""
    inner_gaps = sorted({row for row in gaps if 1 < row <= n_rows})
    # Every other line is blank in a file whose line ends were doubled.
    if not inner_gaps or 2 * len(inner_gaps) > n_rows:
        return ""
    lines = (
        "there is a blank line"
        if len(inner_gaps) == 1
        else f"there are blank lines in {len(inner_gaps):,} places"
    )
    return (
        f"{lines} between rows of {where}, the first above row {inner_gaps[0]:,} of {n_rows:,}; if "
        "another table or a footer begins there, move it to its own file"
    )
