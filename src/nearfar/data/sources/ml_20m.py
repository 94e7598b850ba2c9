"""MovieLens-20M: ratings.csv and movies.csv."""

from __future__ import annotations

import io

import polars as pl

from nearfar.data.build import LogBuilder
from nearfar.data.delimited import Dialect
from nearfar.data.events import Log
from nearfar.data.raw import RawFiles
from nearfar.data.sources._movielens import LICENCE, archive
from nearfar.data.sources._rows import add_rows, films, pipe_genres, required
from nearfar.data.sources.source import Request, Source


class MovieLens20M(Source):
    """Twenty million ratings from 138,493 users, 2015; the 25M and 32M sets look the same."""

    label = "MovieLens-20M"
    licence = LICENCE
    downloads = archive("ml-20m", "cd245b17a1ae2cc31bb14903e1204af3", 400 << 20)

    def matches(self, files: RawFiles) -> bool:
        both = files.find(r"ratings\.csv") and files.find(r"movies\.csv")
        return bool(both)

    def read(self, files: RawFiles, request: Request) -> Log:
        name = required(files, r"ratings\.csv", "ratings.csv")
        builder = LogBuilder(files.where(name), request.filters)
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
