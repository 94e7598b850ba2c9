"""MovieLens-100K: u.data and u.item, or the same as RecBole's ml-100k.inter and .item."""

from __future__ import annotations

import polars as pl

from nearfar.data.events import Log
from nearfar.data.sources._atomic import read_atomic, read_items
from nearfar.data.sources._movielens import LICENCE, archive
from nearfar.data.sources._rows import add_rows, films, has_rows, read_as, required, split_lines
from nearfar.data.sources.source import Packaged, Source, SourceRequest
from nearfar.tables.dialect import Dialect
from nearfar.tables.raw import RawFiles

# The order of the nineteen flags that end a line of u.item.
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
DATA = r"u\.data"
INTER = r"ml-100k\.inter"
CHECKSUMS = {
    "inter": "sha256:4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "item": "sha256:51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}


class MovieLens100K(Source):
    """A hundred thousand ratings from 943 users, 1998."""

    label = "MovieLens-100K"
    licence = LICENCE
    downloads = archive("ml-100k", "0e33842e24a9c977be4e0107933c0723", 20 << 20)
    packaged = Packaged(
        requirement="recbole==1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        wheel=True,
        members={
            f"ml-100k.{part}": f"recbole/dataset_example/ml-100k/ml-100k.{part}"
            for part in CHECKSUMS
        },
        checksums={f"ml-100k.{part}": digest for part, digest in CHECKSUMS.items()},
    )

    def matches(self, files: RawFiles) -> bool:
        if files.find(INTER) is not None:
            return True
        return has_rows(files, files.find(DATA), "\t", 4)

    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        atomic = files.find(INTER)
        items = request.items
        if atomic is not None:
            items = _dated(read_items(files, atomic)) if items is None else items
            return read_atomic(files, atomic, request, items)
        name = required(files, DATA, "u.data")
        builder = request.builder(files.where(name))
        columns = ("user", "item", "rating", "timestamp")
        dialect = Dialect("\t", header=False)
        with read_as(self.label, columns):
            add_rows(builder, files, name, columns, request, dialect=dialect, max_rating=5)
        return builder.log(items if items is not None else _films(files))


def _films(files: RawFiles) -> pl.DataFrame | None:
    name = files.find(r"u\.item")
    if name is None:
        return None
    rows = [c for c in split_lines(files.text(name, "latin-1"), "|") if len(c) >= 2 + len(GENRES)]
    return films([(c[0], c[1], _flagged(c[-len(GENRES) :])) for c in rows])


def _flagged(flags: list[str]) -> list[str]:
    pairs = zip(GENRES, flags, strict=True)
    return [genre for genre, flag in pairs if flag == "1" and genre != "unknown"]


def _dated(items: pl.DataFrame | None) -> pl.DataFrame | None:
    """Titles as u.item has them, with the year that RecBole keeps in a column of its own."""
    if items is None or not {"title", "release_year"} <= set(items.columns):
        return items
    year = pl.col("release_year")
    dated = pl.format("{} ({})", "title", year)
    title = pl.when(year.str.contains(r"^\d{4}$")).then(dated).otherwise("title")
    genres = pl.col("genres").list.set_difference(["unknown"])
    return items.with_columns(title.alias("title"), genres.alias("genres")).drop("release_year")
