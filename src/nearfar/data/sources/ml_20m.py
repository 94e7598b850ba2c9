"""MovieLens-20M: ratings.csv and movies.csv."""

from __future__ import annotations

import re

import polars as pl

from nearfar.data.events import Log
from nearfar.data.sources._movielens import LICENCE, archive
from nearfar.data.sources._rows import add_rows, pipe_genres, required
from nearfar.data.sources.source import Source, SourceRequest
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import ITEM_ROLES
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions, open_table, read_rows

HEADER = b"userId,movieId,rating,timestamp"
ROW = re.compile(rb"(?:\d+,\d+,[\d.]*,\d*)?")


class MovieLens20M(Source):
    """Twenty million ratings from 138,493 users, 2015; the 25M and 32M sets look the same."""

    label = "MovieLens-20M"
    licence = LICENCE
    downloads = archive("ml-20m", "cd245b17a1ae2cc31bb14903e1204af3", 400 << 20)

    def matches(self, files: RawFiles) -> bool:
        name = files.find(r"ratings\.csv")
        if name is None or files.find(r"movies\.csv") is None:
            return False
        whole = files.sample(name).rpartition(b"\n")[0]
        header, *rows = whole.split(b"\n")
        return header.strip() == HEADER and all(ROW.fullmatch(row.strip()) for row in rows)

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        name = required(files, r"ratings\.csv", "ratings.csv")
        builder = request.builder(files.where(name))
        columns = ("user", "item", "rating", "timestamp")
        add_rows(builder, files, name, columns, request, dialect=Dialect(), max_rating=5)
        return builder.log(request.items if request.items is not None else _films(files))


def _films(files: RawFiles) -> pl.DataFrame | None:
    name = files.find(r"movies\.csv")
    if name is None:
        return None
    table = open_table(files, name, ReadOptions())
    blocks = read_rows([table], ITEM_ROLES, {}, RowRules(), ReadReport())
    found = pl.concat([rows.frame for rows in blocks])
    if "title" not in found.columns or "genres" not in found.columns:
        return None
    genres = pl.col("genres").fill_null("").map_elements(pipe_genres, pl.List(pl.String))
    return found.with_columns(genres, pl.col("title").fill_null(""))
