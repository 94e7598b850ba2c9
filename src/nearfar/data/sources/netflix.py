"""The Netflix Prize data: blocks of "user,rating,date" under a line "movie:"."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from nearfar.core.errors import DataError
from nearfar.data.events import Log
from nearfar.data.sources._rows import films
from nearfar.data.sources.source import Source, SourceRequest
from nearfar.tables.clock import Clock
from nearfar.tables.delimited import read_blocks
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles

COLUMNS = ("user", "rating", "timestamp")


class Netflix(Source):
    """A hundred million ratings from 480,189 users, 2006."""

    label = "Netflix Prize"
    licence = "research use under the terms of the Netflix Prize; not to be redistributed"
    instructions = (
        "the Netflix Prize data has no official address any more; get combined_data_1.txt to "
        "combined_data_4.txt and movie_titles.csv (or training_set/mv_*.txt), as a folder or zip"
    )

    def matches(self, files: RawFiles) -> bool:
        return bool(_parts(files))

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        builder = request.builder(str(files.path))
        movie: str | None = None
        with files.kept_open():
            for where, names in _parts(files):
                joined = _Joined(files, names, where)
                clock = Clock(where)
                size = request.options.block_bytes
                dialect = Dialect(header=False)
                for lines, first in read_blocks(joined, where, COLUMNS, COLUMNS, dialect, size):
                    rows, movie = _under_movies(lines, movie, where, first)
                    times = clock.read(rows["timestamp"])
                    if times.bad.any():
                        bad = rows.filter(times.bad).row(0, named=True)
                        raise DataError(
                            f"{where}, row {bad['row']}: timestamp is {bad['timestamp']!r}; a date "
                            "such as 2005-09-06 was expected"
                        )
                    builder.name = where
                    builder.add(rows.drop("row").with_columns(times.values), first)
        builder.name = str(files.path)
        return builder.log(request.items if request.items is not None else _titles(files))


class _Joined:
    """Small files read one after the other as if they were one."""

    def __init__(self, files: RawFiles, names: list[str], label: str) -> None:
        self.files, self.parts, self.label = files, names, label

    def where(self, name: str) -> str:
        return self.label

    def blocks(
        self,
        name: str,
        *,
        size: int,
        encoding: str | None,
        row_end: Callable[[bytes], int],
    ) -> Iterator[bytes]:
        held: list[bytes] = []
        for part in self.parts:
            for block in self.files.blocks(part, size=size, encoding=encoding, row_end=row_end):
                held.append(block if block.endswith(b"\n") else block + b"\n")
                if sum(map(len, held)) >= size:
                    yield b"".join(held)
                    held.clear()
        if held:
            yield b"".join(held)


def _parts(files: RawFiles) -> list[tuple[str, list[str]]]:
    combined = files.find_all(r"combined_data_\d+\.txt")
    if combined:
        return [(files.where(name), [name]) for name in combined]
    movies = files.find_all(r"mv_\d+\.txt")
    return [(files.where("mv_*.txt"), movies)] if movies else []


def _under_movies(
    lines: pl.DataFrame, movie: str | None, where: str, first: int
) -> tuple[pl.DataFrame, str | None]:
    """The ratings among `lines` with the movie of the line above them, and the last movie."""
    named = lines.with_columns(
        pl.when(pl.col("user").str.ends_with(":"))
        .then(pl.col("user").str.strip_suffix(":"))
        .alias("item")
    )
    named = named.with_columns(
        pl.col("item").is_not_null().alias("names"),
        pl.col("item").forward_fill().fill_null(pl.lit(movie, pl.String)),
    ).with_row_index("row", first)
    rows = named.filter(~pl.col("names"))
    if rows["item"].null_count():
        raise DataError(f"{where}, row {first}: no line 'movie:' stands above the first rating")
    for column, kind in (("user", pl.Int64), ("item", pl.Int64), ("rating", pl.Float64)):
        values = rows[column].cast(kind, strict=False)
        if values.null_count():
            bad = rows.filter(values.is_null()).row(0, named=True)
            raise DataError(
                f"{where}, row {bad['row']}: {column} is {bad[column]!r}; a number was expected"
            )
        rows = rows.with_columns(values)
    last = named["item"].last() if named.height else movie
    return rows.select("user", "item", "rating", "timestamp", "row"), str(last)


def _titles(files: RawFiles) -> pl.DataFrame | None:
    name = files.find(r"movie_titles\.(?:csv|txt)")
    if name is None:
        return None
    lines = files.text(name, "latin-1").splitlines()
    cells = [c for c in (line.split(",", 2) for line in lines) if len(c) == 3]
    dated = [(c[0], c[2] if c[1] == "NULL" else f"{c[2]} ({c[1]})") for c in cells]
    return films([(movie, title, []) for movie, title in dated]).drop("genres")
