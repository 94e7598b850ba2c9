"""MovieLens-20M: ratings.csv and movies.csv."""

from __future__ import annotations

import io
import re

import polars as pl

from nearfar.data.events import Log
from nearfar.data.sources._movielens import LICENCE, archive
from nearfar.data.sources._rows import add_rows, films, pipe_genres, required
from nearfar.data.sources.source import Request, Source
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles

HEADER = b"userId,movieId,rating,timestamp"
ROW = re.compile(rb"\d+,\d+,[\d.]+,\d+\s*$|$")


class MovieLens20M(Source):
    """Twenty million ratings from 138,493 users, 2015; the 25M and 32M sets look the same."""

    label = "MovieLens-20M"
    licence = LICENCE
    downloads = archive("ml-20m", "cd245b17a1ae2cc31bb14903e1204af3", 400 << 20)

    def matches(self, files: RawFiles) -> bool:
        name = files.find(r"ratings\.csv")
        if name is None or files.find(r"movies\.csv") is None:
            return False
        lines = files.sample(name).split(b"\n", 2)
        return lines[0].strip() == HEADER and (len(lines) < 2 or ROW.match(lines[1]) is not None)

    def read(self, files: RawFiles, request: Request) -> Log:
        name = required(files, r"ratings\.csv", "ratings.csv")
        builder = request.builder(files.where(name))
        columns = ("user", "item", "rating", "timestamp")
        add_rows(builder, files, name, columns, request, dialect=Dialect())
        return builder.log(request.items if request.items is not None else _films(files))


def _films(files: RawFiles) -> pl.DataFrame | None:
    name = files.find(r"movies\.csv")
    if name is None:
        return None
    table = pl.read_csv(io.BytesIO(files.text(name, "utf-8").encode()), infer_schema=False)
    if len(table.columns) < 3:
        return None
    rows = [(r[0], r[1] or "", pipe_genres(r[2] or "")) for r in table.iter_rows()]
    return films(rows)
