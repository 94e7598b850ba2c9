"""Helpers that several sources share: rows into a builder, details of films."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from nearfar.core.errors import DataError
from nearfar.data.build import LogBuilder
from nearfar.data.delimited import Dialect, PolarsType, read_blocks
from nearfar.data.raw import RawFiles
from nearfar.data.sources.source import Request
from nearfar.data.times import Clock

NUMBERS: dict[str, PolarsType] = {
    "rating": pl.Float64,
    "timestamp": pl.Int64,
    "weight": pl.Float64,
}


def add_rows(
    builder: LogBuilder,
    files: RawFiles,
    name: str,
    columns: Sequence[str],
    request: Request,
    *,
    ids: PolarsType = pl.Int64,
    dialect: Dialect,
    dates: bool = False,
) -> None:
    """Read a delimited file whose columns are named by their roles ("" for one not wanted)."""
    named = [c or f"unused {i}" for i, c in enumerate(columns)]
    types = {c: ids if c in ("user", "item") else NUMBERS[c] for c in columns if c}
    if dates:
        types["timestamp"] = pl.String
    clock = Clock(files.where(name))
    for frame, first_row in read_blocks(files, name, named, types, dialect, request.block_bytes):
        if dates:
            frame = frame.with_columns(clock.seconds(frame["timestamp"], first_row))
        builder.add(frame, first_row)


def required(files: RawFiles, pattern: str, what: str) -> str:
    """The file that matches a pattern.

    Raises:
        DataError: there is none.
    """
    name = files.find(pattern)
    if name is None:
        raise DataError(f"{files.path} holds no {what}; give the folder or archive that does")
    return name


def split_lines(text: str, separator: str) -> list[list[str]]:
    """The cells of a small text file's lines, empty lines left out."""
    return [line.split(separator) for line in text.splitlines() if line.strip()]


def films(rows: list[tuple[str, str, list[str]]]) -> pl.DataFrame:
    """Item details from (id, title, genres)."""
    return pl.DataFrame(
        {
            "item": [r[0] for r in rows],
            "title": [r[1] for r in rows],
            "genres": [r[2] for r in rows],
        },
        schema={"item": pl.String, "title": pl.String, "genres": pl.List(pl.String)},
    ).with_columns(pl.col("item").cast(pl.Int64, strict=False))


def pipe_genres(text: str) -> list[str]:
    """Genres given as "Comedy|Drama"; the placeholder for none is none."""
    return [g for g in text.split("|") if g and g != "(no genres listed)"]


def double_colon_films(files: RawFiles) -> pl.DataFrame | None:
    """The films of `movies.dat` ("id::title::genre|genre"), or None without that file."""
    name = files.find(r"movies\.dat")
    if name is None:
        return None
    text = files.text(name, "utf-8")
    if "\ufffd" in text:  # 1M is Latin-1, 10M is UTF-8
        text = files.text(name, "latin-1")
    rows = [c for c in split_lines(text, "::") if len(c) >= 3]
    return films([(c[0], "::".join(c[1:-1]), pipe_genres(c[-1])) for c in rows])
