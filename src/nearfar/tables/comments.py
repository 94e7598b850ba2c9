"""Find the comment lines ("# ..." or "% ...") above a text table, and a header among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

SIGNS = ("#", "%")
SAMPLED_LINES = 50


@dataclass(frozen=True)
class Comments:
    """The comment lines at the start of a text file.

    Attributes:
        n_lines: the number of lines above the header, or above the first row without a header.
        header: the header without its sign; None if the header is not a comment line.
        separator: the separator of cells; None if it is still to be inferred.
    """

    n_lines: int = 0
    header: str | None = None
    separator: str | None = None


def read_comments(
    lines: Sequence[str],
    separator: str | None,
    infer: Callable[[Sequence[str]], str],
    *,
    header: bool | None,
) -> Comments:
    """Find the comment lines at the start of a text file.

    The last of them is the header if it has as many cells as the rows and all of them are names,
    unless the first line below is a header. Above rows of text, lines with as many cells as the
    rows are a header and rows whose first cell begins with the sign.

    Args:
        lines: the first lines of the file.
        separator: the separator that the caller set; None to infer it from the rows.
        infer: returns the separator of lines.
        header: whether the caller says that there is a header; None: not set.
    """
    n_lines = next((at for at, x in enumerate(lines) if x.strip() and not x.startswith(SIGNS)), 0)
    commented = [at for at in range(n_lines) if lines[at].strip()]
    if not commented:
        return Comments(separator=separator)
    rows = [x.rstrip("\r") for x in lines[n_lines : n_lines + SAMPLED_LINES] if x.strip()]
    sign = separator or infer(rows)
    cells = _cells(rows[0], sign)
    if len(cells) < 2:
        return Comments(separator=separator)
    if _has_header_below(rows, sign):
        return Comments(n_lines, separator=sign)
    start = commented[-1]
    if not all(map(is_number, cells)):
        for at in reversed(commented):
            if without_sign(lines[at], sign, len(cells)) is None:
                break
            start = at
    heading = without_sign(lines[start], sign, len(cells))
    if heading is None or (header is False and all(map(is_number, cells))):
        return Comments(n_lines, separator=sign)
    names = _cells(heading, sign)
    if header is False or not all(names) or any(map(is_number, names)):
        return Comments(n_lines if all(map(is_number, cells)) else start, separator=sign)
    return Comments(start, heading, sign)


def without_sign(line: str, separator: str, n_cells: int) -> str | None:
    """Return a comment line without its sign if it has this number of cells, else None."""
    line = line.rstrip("\r")
    signs = "".join(SIGNS)
    text = line.lstrip(signs).lstrip(" ")
    candidates = [text]
    if not _cells(line, separator)[0].strip(signs):
        # In "#,name,age" the sign is the name of a column.
        candidates = [line, text.removeprefix(separator)]
    return next((x for x in candidates if len(_cells(x, separator)) == n_cells), None)


def _cells(line: str, separator: str) -> list[str]:
    return line.split() if separator[0] == " " else [c.strip() for c in line.split(separator)]


def _has_header_below(rows: Sequence[str], sign: str) -> bool:
    """Return whether the first line is a header: names above a column of numbers."""
    first, *others = (_cells(row, sign) for row in rows)
    if any(map(is_number, first)) or not others:
        return False
    columns = ([row[at] for row in others if at < len(row)] for at in range(len(first)))
    return any(column and all(map(is_number, column)) for column in columns)


def is_number(cell: str) -> bool:
    """Return whether a cell is a number, so that its line is not a header."""
    try:
        float(cell.replace(",", ".", 1))
    except ValueError:
        return False
    return not any(letter.isalpha() for letter in cell)
