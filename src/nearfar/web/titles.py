"""Titles of items from a file, for models that have none."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.tables.item_table import read_item_table
from nearfar.web.logs import failure, log
from nearfar.web.schemas import MAX_TITLE


class Titles:
    """The titles in a file, read again where it changed since the last model was loaded.

    Args:
        path: .csv, .tsv (UTF-8) or .parquet with an item and a title column, in any order and
            among others. Of several rows for an item the first counts. Space around a title is
            dropped, and what is longer than 300 characters is cut to that.

    Raises:
        DataError: the file cannot be read, or is larger than 1 GiB or 10 million rows.
        SchemaError: a column cannot be told or is of the wrong type.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._titles = _read(path)

    def onto(self, items: Vocabulary, model: str) -> Vocabulary:
        """Items with the file's titles, or as they are where the model has any of its own.

        A file that has become unreadable costs no model: the titles read before stay.
        """
        if items.titles is not None and items.titles.null_count() < len(items):
            return items
        self._look_again()
        position = items.index(self._titles["item"])
        found = self._titles.with_columns(position=position).filter(pl.col("position") >= 0)
        found = found.unique("position", keep="first", maintain_order=True)
        places = pl.DataFrame({"position": range(len(items))}, schema={"position": pl.Int64})
        titles = places.join(
            found.select("position", "title"), on="position", how="left", maintain_order="left"
        )["title"]
        n_titled = len(titles) - titles.null_count()
        log(
            "titles", logging.INFO if n_titled else logging.WARNING, model=model, titled=n_titled,
            untitled=titles.null_count(), unknown=int((position < 0).sum()),
        )  # fmt: skip
        return Vocabulary(items.ids, pl.DataFrame({"title": titles}))

    def _look_again(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._titles, self._stamp = _read(self._path), stamp
        except DataError as error:
            log("titles-not-read", logging.ERROR, **failure(error))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name a file") from None
    return told.st_mtime_ns, told.st_size


def _read(path: Path) -> pl.DataFrame:
    """Columns `item` (Int64 or String) and `title`, without rows that lack either."""
    wanted = {"genres": ""}
    rows = read_item_table(path, given=wanted, only=True, need_title=True)
    return rows.with_columns(pl.col("title").str.head(MAX_TITLE)).filter(
        pl.col("title").is_not_null()
    )
