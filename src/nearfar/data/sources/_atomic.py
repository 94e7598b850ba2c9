"""RecBole's atomic files: tab separated, headers with types ("user_id:token")."""

from __future__ import annotations

from pathlib import PurePosixPath

import polars as pl

from nearfar.core.errors import SchemaError
from nearfar.data.events import Log
from nearfar.data.sources._rows import add_rows
from nearfar.data.sources.source import SourceRequest
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles

TITLES = ("title", "movie_title", "name", "item_name", "artist_name", "song_name", "book_title")
GENRES = ("genres", "genre", "class", "categories", "category", "tags")


def header(files: RawFiles, name: str, encoding: str | None = None) -> list[str]:
    """The column names of an atomic file, without their types.

    Raises:
        SchemaError: a column has no type, so this is no atomic file.
    """
    line = files.sample(name, encoding).partition(b"\n")[0].decode("utf-8", errors="replace")
    cells = line.strip("\r").split("\t")
    untyped = [c for c in cells if ":" not in c]
    if untyped:
        raise SchemaError(
            f"{files.where(name)}: column {untyped[0]!r} has no type; an atomic file's header "
            "is like 'user_id:token<TAB>item_id:token'"
        )
    return [c.rpartition(":")[0] for c in cells]


def read_atomic(
    files: RawFiles, name: str, request: SourceRequest, items: pl.DataFrame | None
) -> Log:
    """The log of an .inter file."""
    present = header(files, name, request.options.text.encoding)
    roles = request.columns.resolve(present, files.where(name))
    role_of = {column: role for role, column in roles.items()}
    builder = request.builder(files.where(name))
    columns = [role_of.get(c, "") for c in present]
    dialect = Dialect("\t")
    add_rows(builder, files, name, columns, request, dialect=dialect, integer_ids=False)
    return builder.log(items)


def read_items(files: RawFiles, inter: str) -> pl.DataFrame | None:
    """The details in the .item file beside an .inter file: item, title, genres and the rest."""
    stem = PurePosixPath(inter.removesuffix(".gz")).name.removesuffix(".inter")
    name = next((n for n in files.names if PurePosixPath(n).name == f"{stem}.item"), None)
    if name is None:
        return None
    lines = [line.split("\t") for line in files.text(name, "utf-8").splitlines() if line]
    names = [c.rpartition(":")[0] or c for c in lines[0]]
    rows = [row + [""] * (len(names) - len(row)) for row in lines[1:]]
    table = pl.DataFrame(
        {c: [row[i] for row in rows] for i, c in enumerate(names)},
        schema=dict.fromkeys(names, pl.String),
    )
    item = "item_id" if "item_id" in names else names[0]
    title = next((c for c in TITLES if c in names), None)
    genres = next((c for c in GENRES if c in names), None)
    renamed = {item: "item"}
    renamed |= {title: "title"} if title else {}
    renamed |= {genres: "genres"} if genres else {}
    table = table.rename(renamed)
    if genres:
        words = pl.col("genres").str.split(" ")
        table = table.with_columns(words.list.filter(pl.element() != ""))
    return table
