"""Functions that several sources share: read rows, and item details of films."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import polars as pl

from nearfar.core.errors import DataError
from nearfar.core.identity import CANONICAL, integers
from nearfar.data.build import LogBuilder
from nearfar.data.sources.source import SourceRequest
from nearfar.tables.comments import is_number
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles
from nearfar.tables.roles import EVENT_ROLES, OPTIONS
from nearfar.tables.rules import id_overflow
from nearfar.tables.table import read_rows
from nearfar.tables.text_table import TextTable

SAMPLED_LINES = 50


def has_rows(
    files: RawFiles, name: str | None, separator: str, n_cells: int, *, integers: bool = True
) -> bool:
    """Return whether at least half of a file's first lines have this layout, without a header.

    Args:
        files: the files.
        name: the file; None for no file.
        separator: the separator of cells.
        n_cells: the number of cells of a line.
        integers: whether the first two cells, the user and the item, are integers.
    """
    if name is None:
        return False
    try:
        lines = files.sample(name).decode("latin-1").splitlines()[:SAMPLED_LINES]
    except DataError:
        return False
    rows = [line.split(separator) for line in lines if line.strip()]
    alike = [
        len(row) == n_cells and (not integers or all(cell.strip().isdecimal() for cell in row[:2]))
        for row in rows
    ]
    has_header = [any(map(is_number, row)) for row in rows[:2]] == [False, True]
    return 2 * sum(alike) >= max(len(alike), 1) and not has_header


@contextmanager
def read_as(label: str, columns: Sequence[str]) -> Iterator[None]:
    """Add to an error on the data which data set's layout was expected, and what to do otherwise.

    Args:
        label: the name of the data set.
        columns: the role of each column.
    """
    try:
        yield
    except DataError as error:
        names = " ".join(f"{OPTIONS[c]} column_{i}" for i, c in enumerate(columns, 1))
        raise type(error)(
            f"{error}; the file was read as {label}; if it is another table, read it with "
            f"--format table --no-header {names}"
        ) from None


def add_rows(
    builder: LogBuilder,
    files: RawFiles,
    name: str,
    columns: Sequence[str],
    request: SourceRequest,
    *,
    dialect: Dialect,
    integer_ids: bool = True,
    max_rating: float | None = None,
) -> None:
    """Read a delimited file of a known data set.

    Args:
        builder: the builder that the rows are added to.
        files, name: the file.
        columns: the role of each column; "" for a column to ignore.
        request: the request to read.
        dialect: the separator, quoting and header of the text.
        integer_ids: whether to refuse ids that are not integers.
        max_rating: the data set's highest rating. A higher one means another order of columns.

    Raises:
        DataError: a value does not fit its role; the message has the row.
    """
    dialect = replace(dialect, encoding=request.options.text.encoding)
    named = [c or f"column_{i + 1}" for i, c in enumerate(columns)]
    table = TextTable(files, name, named, dialect, request.options.block_bytes)
    rules = request.options.rules
    for rows in read_rows([table], EVENT_ROLES, {}, rules, request.report, needed=("user", "item")):
        frame = rows.frame
        if integer_ids:
            frame = frame.with_columns(
                integer_column(frame[c], table.where, rows.first_row) for c in ("user", "item")
            )
        if max_rating is not None and (frame["rating"] > max_rating).any():
            at = int((frame["rating"] > max_rating).arg_max() or 0)
            raise DataError(
                f"{table.where}, row {rows.first_row + at}: the rating is "
                f"{frame['rating'][at]:.12g}; at most {max_rating:g} was expected of this data set"
            )
        builder.name = rows.where
        builder.add(frame, rows.first_row, rows.dropped)


def integer_column(ids: pl.Series, where: str, first_row: int) -> pl.Series:
    """Convert text ids to Int64.

    Raises:
        DataError: an id is not an integer; the message has the row.
    """
    if ids.dtype != pl.String:
        return ids
    numbers = integers(ids)
    bad = numbers.is_null() & ids.is_not_null()
    if bad.any():
        at = int(bad.arg_max() or 0)
        if re.fullmatch(CANONICAL, ids[at]):
            raise id_overflow(ids.name, ids[at])
        raise DataError(
            f"{where}, row {first_row + at}: {ids.name} is {ids[at]!r}; an integer was expected"
        )
    return numbers


def required(files: RawFiles, pattern: str, what: str) -> str:
    """Return the file that matches a pattern.

    Raises:
        DataError: no file matches.
    """
    name = files.find(pattern)
    if name is None:
        raise DataError(f"{files.path} has no {what}; give the folder or archive that has it")
    return name


def split_lines(text: str, separator: str) -> list[list[str]]:
    """Return the cells of each line of a small text file, without empty lines."""
    return [line.split(separator) for line in text.splitlines() if line.strip()]


def films(rows: list[tuple[str, str, list[str]]]) -> pl.DataFrame:
    """Return item details as a frame from (id, title, genres)."""
    return pl.DataFrame(
        {
            "item": [r[0] for r in rows],
            "title": [r[1] for r in rows],
            "genres": [r[2] for r in rows],
        },
        schema={"item": pl.String, "title": pl.String, "genres": pl.List(pl.String)},
    ).with_columns(pl.col("item").cast(pl.Int64, strict=False))


def pipe_genres(text: str) -> list[str]:
    """Split genres such as "Comedy|Drama", without the placeholder for no genres."""
    return [g for g in text.split("|") if g and g != "(no genres listed)"]


def double_colon_films(files: RawFiles) -> pl.DataFrame | None:
    """Return the films of `movies.dat` ("id::title::genre|genre"), or None without that file."""
    name = files.find(r"movies\.dat")
    if name is None:
        return None
    text = files.text(name, "utf-8")
    if "\ufffd" in text:  # 1M is Latin-1, 10M is UTF-8
        text = files.text(name, "latin-1")
    rows = [c for c in split_lines(text, "::") if len(c) >= 3]
    return films([(c[0], "::".join(c[1:-1]), pipe_genres(c[-1])) for c in rows])
