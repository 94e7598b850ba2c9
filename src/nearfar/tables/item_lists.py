"""Detect text files with a list of items on each line, which are not tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nearfar.core.errors import DataError

MOST = 0.95
"""The share of lines that have the layout."""
ADVICE = "with --format gowalla (in Python: format='gowalla')"


class ItemListsError(DataError):
    """A text file has a list of items on each line instead of a row per user and item."""


def refuse_item_lists(
    lines: Sequence[str], separator: str | None, where: str, *, header: bool | None = None
) -> None:
    """Raise if nearly all lines are integers, and their number varies.

    Args:
        lines: the first lines of the file.
        separator: the separator that the caller set; None to infer it.
        where: the file's name in messages.
        header: whether the caller says that there is a header; None: not set.

    Raises:
        ItemListsError: the lines are lists of items; the message says how to read them.
    """
    if separator not in (None, " ", "\t") or not re.fullmatch(r"\s*\d+(?:\s+\d+)*\s*", lines[0]):
        return
    if any("\t\t" in line for line in lines):  # empty cells
        return
    rows = [line.split() for line in lines if line.strip()]
    lists = [row for row in rows if all(map(str.isdecimal, row))]
    n_long = sum(len(row) > 1 for row in lists)
    lengths = {len(row) for row in lists}
    if min(len(lists), n_long / MOST) < MOST * len(rows) or len(lengths) < 2:
        return
    refuse_counts(rows, where)
    row = next(at for at, cells in enumerate(lists, 1) if len(cells) != len(lists[0]))
    problem = (
        f"{where}: the lines have different numbers of integers (line 1 has {len(lists[0])}, line "
        f"{row} has {len(lists[row - 1])}), "
    )
    given = {"--separator": separator is not None, "--no-header": header is False}
    unset = " and ".join(option for option, is_set in given.items() if is_set)
    advice = ADVICE + f", without {unset}" * bool(unset)
    if len({cells[0] for cells in lists}) >= MOST * len(lists):
        raise ItemListsError(
            f"{problem}as files with one user per line, followed by the user's items; read it so "
            f"{advice}"
        )
    if len(lengths) > 2:
        raise ItemListsError(
            f"{problem}like lists of items; write one row per user and item, or, if the first "
            f"integer of each line is the user, read it {advice}"
        )


def refuse_counts(rows: Sequence[Sequence[str]], where: str) -> None:
    """Raise if the first cell of nearly every line is the number of its other cells.

    Args:
        rows: the cells of the file's first lines.
        where: the file's name in messages.

    Raises:
        ItemListsError: the first cells are counts, and not users.
    """
    counts = [row[0].isdecimal() and int(row[0]) == len(row) - 1 for row in rows if row]
    if len(counts) > 1 and sum(counts) >= MOST * len(counts):
        raise ItemListsError(
            f"{where}: each line is the number of its items and then the items, and no cell is "
            "the user; write the user's id in place of the number, such as the number of the "
            f"line, and read the file {ADVICE}"
        )
