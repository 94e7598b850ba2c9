"""Where double quotes stand in a block of text, and what they protect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from nearfar.tables.raw import last_newline

QUOTE, NEWLINE = ord('"'), ord("\n")


@dataclass(frozen=True)
class Swallowed:
    """A cell in quotes that seems to hold rows of the file.

    Attributes:
        row: of the cell, counted from 0 at the start of the block.
        n_lines: that the cell holds beyond its first.
    """

    row: int
    n_lines: int


class Quotes:
    """Finds the quotes of blocks of text, by whole blocks where it can.

    Args:
        separator: of cells, one byte.
        enabled: whether a double quote at the start of a cell protects anything.
    """

    def __init__(self, separator: str, enabled: bool) -> None:
        self._separator = separator.encode()
        self._enabled = enabled
        self._marks = (self._separator + b'"', b'\n"')
        mark = re.escape(self._separator)
        self._opening = re.compile(rb"(?:\A|[\n" + mark + rb'])[ ]*"')
        # A cell in quotes, or one left open to the end.
        self._cell = re.compile(rb"(?:(?<=[\n" + mark + rb'])|\A)[ ]*("[^"]*(?:""[^"]*)*(?:"|\Z))')

    def row_end(self, block: bytes) -> int:
        """One past the last newline of a block that ends a row."""
        end = last_newline(block)
        if not self.opens(block[:end]):
            return end
        if self.are_clean(block[:end]):
            return end
        return next(reversed(self._outside(block, end)), -1) + 1

    def first_row_end(self, block: bytes) -> int:
        """One past the newline that ends the first row of a block."""
        end = block.find(b"\n") + 1
        if not self._enabled or not end or QUOTE not in block[:end]:
            return end or len(block)
        newlines = self._outside(block, last_newline(block))
        return newlines[0] + 1 if newlines else len(block)

    def opens(self, block: bytes) -> bool:
        """Whether a double quote stands at the start of a cell."""
        if not self._enabled or QUOTE not in block:
            return False
        if block.startswith(b'"') or any(mark in block for mark in self._marks):
            return True
        return b' "' in block and self._opening.search(block) is not None

    def are_clean(self, block: bytes) -> bool:
        """Whether every double quote opens, closes or escapes as RFC 4180 says."""
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

    def even(
        self, text: np.ndarray, places: Int[np.ndarray, " places"]
    ) -> Int[np.ndarray, " outside"]:
        """The places that stand outside of quotes, in a text whose quotes are clean."""
        quotes = np.flatnonzero(text == QUOTE)
        return places[np.searchsorted(quotes, places) % 2 == 0]

    def n_rows(self, block: bytes) -> int:
        """How many rows a block has whose quotes are clean."""
        text = np.frombuffer(block, np.uint8)
        newlines = self.even(text, np.flatnonzero(text == NEWLINE))
        return len(newlines) + (not block.endswith(b"\n"))

    def separators_outside(self, block: bytes) -> Int[np.ndarray, " separators"]:
        """Where cells end in a block whose quotes are clean."""
        text = np.frombuffer(block, np.uint8)
        return self.even(text, np.flatnonzero(text == self._separator[0]))

    def _outside(self, block: bytes, end: int) -> list[int]:
        """Where the newlines are that do not stand in a quoted cell."""
        newlines = np.flatnonzero(np.frombuffer(block, np.uint8, end) == NEWLINE)
        inside = np.zeros(len(newlines), bool)
        for cell in self._cell.finditer(block):
            low, high = np.searchsorted(newlines, cell.span(1))
            inside[low:high] = True
        return newlines[~inside].tolist()

    def swallowed_rows(
        self, block: bytes, places: Sequence[int], n_columns: int
    ) -> Swallowed | None:
        """The first cell in quotes whose lines all look like rows of the file, or None.

        A quote that was meant as a character, at the start of a cell, swallows what follows up to
        the next one. Nothing forbids that; but lines with as many cells, and with ids where ids
        stand, are rows.

        Args:
            block: of whole rows.
            places: of the columns that are read, counted from 0.
            n_columns: of the file.
        """
        for cell in self._cell.finditer(block):
            if b"\n" not in cell[1]:
                continue
            start = block.rfind(b"\n", 0, cell.start(1)) + 1
            own = block[start : cell.start(1)].split(self._separator)[:-1]
            lines = cell[1][1:].removesuffix(b'"').split(b"\n")[1:]
            cells = [line.split(self._separator) for line in lines]
            if _look_like_rows(cells, own, places, n_columns):
                row = len(self._outside(block, cell.start(1)))
                return Swallowed(row, len(lines))
        return None


def _look_like_rows(
    lines: list[list[bytes]], own: list[bytes], places: Sequence[int], n_columns: int
) -> bool:
    """Whether the lines of a cell look like rows; `own` are the cells before it in its row."""
    *whole, last = lines
    if len(last) != len(own) + 1 or any(len(line) != n_columns for line in whole):
        return False
    pairs = [
        (line[at].strip(), own[at].strip() if at < len(own) else None)
        for line in lines
        for at in places
        if at < len(line) - (line is last)
    ]
    return bool(pairs) and all(
        cell != b""
        and (like is None or cell.isdigit() == like.isdigit())
        and (b" " not in cell or (like is not None and b" " in like))
        for cell, like in pairs
    )
