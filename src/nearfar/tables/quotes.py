"""Find the double quotes in a block of text, and the newlines and separators inside them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from nearfar.tables.raw import last_newline

QUOTE, NEWLINE = ord('"'), ord("\n")


@dataclass(frozen=True)
class SwallowedRows:
    """A quoted cell that seems to contain rows of the file.

    Attributes:
        row: the row of the cell, from 0 at the start of the block.
        n_lines: the number of lines in the cell after the first.
    """

    row: int
    n_lines: int


class Quotes:
    """Find quotes in blocks of text, with array operations where possible.

    Args:
        separator: the separator of cells, one byte.
        enabled: whether a double quote at the start of a cell protects separators and newlines.
    """

    def __init__(self, separator: str, enabled: bool) -> None:
        self._separator = separator.encode()
        self._enabled = enabled
        self._marks = (self._separator + b'"', b'\n"')
        mark = re.escape(self._separator)
        self._opening = re.compile(rb"(?:\A|[\n" + mark + rb'])[ ]*"')
        # A quoted cell, or one without a closing quote.
        self._cell = re.compile(rb"(?:(?<=[\n" + mark + rb'])|\A)[ ]*("[^"]*(?:""[^"]*)*(?:"|\Z))')

    def row_end(self, block: bytes) -> int:
        """Return the position after the last newline of a block that ends a row."""
        end = last_newline(block)
        if not self.opens(block[:end]):
            return end
        if self.are_clean(block[:end]):
            return end
        return next(reversed(self._newlines_outside(block, end)), -1) + 1

    def first_row_end(self, block: bytes) -> int:
        """Return the position after the newline that ends the first row of a block."""
        end = block.find(b"\n") + 1
        if not self._enabled or not end or QUOTE not in block[:end]:
            return end or len(block)
        newlines = self._newlines_outside(block, last_newline(block))
        return newlines[0] + 1 if newlines else len(block)

    def opens(self, block: bytes) -> bool:
        """Return whether a cell starts with a double quote."""
        if not self._enabled or QUOTE not in block:
            return False
        if block.startswith(b'"') or any(mark in block for mark in self._marks):
            return True
        return b' "' in block and self._opening.search(block) is not None

    def are_clean(self, block: bytes) -> bool:
        """Return whether every double quote opens, closes or escapes a cell by RFC 4180."""
        text = np.frombuffer(block, np.uint8)
        quotes = np.flatnonzero(text == QUOTE)
        if len(quotes) % 2:
            return False
        opening, closing = quotes[::2], quotes[1::2]
        mark = self._separator[0]
        before = np.where(opening > 0, text[opening - 1], NEWLINE)
        escapes = np.zeros(len(opening), bool)
        escapes[1:] = opening[1:] == closing[:-1] + 1
        after = text[np.minimum(closing + 1, len(text) - 1)]
        after = np.where(closing + 1 < len(text), after, NEWLINE)
        opens = (before == mark) | (before == NEWLINE) | escapes
        closes = (after == mark) | (after == NEWLINE) | (after == ord("\r")) | (after == QUOTE)
        return bool(opens.all() and closes.all())

    def outside_quotes(
        self, text: np.ndarray, places: Int[np.ndarray, " places"]
    ) -> Int[np.ndarray, " outside"]:
        """Return the positions outside quotes, in a text whose quotes are clean."""
        quotes = np.flatnonzero(text == QUOTE)
        return places[np.searchsorted(quotes, places) % 2 == 0]

    def n_rows(self, block: bytes) -> int:
        """Return the number of rows of a block whose quotes are clean."""
        text = np.frombuffer(block, np.uint8)
        newlines = self.outside_quotes(text, np.flatnonzero(text == NEWLINE))
        return len(newlines) + (not block.endswith(b"\n"))

    def separators_outside(self, block: bytes) -> Int[np.ndarray, " separators"]:
        """Return the positions of the separators of cells, in a block whose quotes are clean."""
        text = np.frombuffer(block, np.uint8)
        return self.outside_quotes(text, np.flatnonzero(text == self._separator[0]))

    def _newlines_outside(self, block: bytes, end: int) -> list[int]:
        """Return the positions of the newlines outside quoted cells."""
        newlines = np.flatnonzero(np.frombuffer(block, np.uint8, end) == NEWLINE)
        inside = np.zeros(len(newlines), bool)
        for cell in self._cell.finditer(block):
            low, high = np.searchsorted(newlines, cell.span(1))
            inside[low:high] = True
        return newlines[~inside].tolist()

    def swallowed_rows(
        self, block: bytes, places: Sequence[int], n_columns: int
    ) -> SwallowedRows | None:
        """Return the first quoted cell whose lines all look like rows of the file, or None.

        A quote at the start of a cell that was meant as a character makes one cell of all text up
        to the next quote. Lines with the right number of cells, and ids in the columns of ids, are
        rows.

        Args:
            block: the block, of whole rows.
            places: the positions of the columns that are read, from 0.
            n_columns: the number of columns of the file.
        """
        for cell in self._cell.finditer(block):
            if b"\n" not in cell[1]:
                continue
            start = block.rfind(b"\n", 0, cell.start(1)) + 1
            cells_before = block[start : cell.start(1)].split(self._separator)[:-1]
            lines = cell[1][1:].removesuffix(b'"').split(b"\n")[1:]
            cells = [line.split(self._separator) for line in lines]
            if _look_like_rows(cells, cells_before, places, n_columns):
                row = len(self._newlines_outside(block, cell.start(1)))
                return SwallowedRows(row, len(lines))
        return None


def _look_like_rows(
    lines: list[list[bytes]], cells_before: list[bytes], places: Sequence[int], n_columns: int
) -> bool:
    """Return whether the lines of a cell look like rows.

    Args:
        lines: the cells of each line.
        cells_before: the cells before the quoted cell in its row.
        places: the positions of the columns that are read, from 0.
        n_columns: the number of columns of the file.
    """
    *full_lines, last = lines
    if len(last) != len(cells_before) + 1 or any(len(line) != n_columns for line in full_lines):
        return False
    pairs = [
        (line[at].strip(), cells_before[at].strip() if at < len(cells_before) else None)
        for line in lines
        for at in places
        if at < len(line) - (line is last)
    ]
    return bool(pairs) and all(
        cell != b""
        and (example is None or _form(cell) == _form(example))
        and (b" " not in cell or (example is not None and b" " in example))
        for cell, example in pairs
    )


def _form(cell: bytes) -> tuple[bool, bool]:
    """Return whether a cell has digits alone, and whether it is quoted: the same in all rows."""
    return cell.strip(b'"').isdigit(), cell.startswith(b'"')
