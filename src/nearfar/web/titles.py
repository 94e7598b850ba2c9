"""Titles and genres of items from a file, for models that have none."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.tables.item_table import read_item_table
from nearfar.web.logs import failure, log
from nearfar.web.schemas import MAX_TITLE

DETAILS = {"title": ("titles", "titled", "untitled"), "genres": ("genres", "with", "without")}
"""Columns that a file may have, each with the event and the fields of the log."""


class Titles:
    """The details in a file, read again where it changed since the last model was loaded.

    Args:
        path: .csv, .tsv (UTF-8) or .parquet with an item and a title column, and perhaps one of
            genres, in any order and among others. Of several rows for an item the first counts.
            Space around a title is dropped, and what is longer than 300 characters is cut to that.

    Raises:
        DataError: the file cannot be read, or is larger than 1 GiB or 10 million rows.
        SchemaError: a column cannot be told or is of the wrong type.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._table = _read(path)

    def onto(self, items: Vocabulary, model: str) -> Vocabulary:
        """Items with the file's titles and genres, each only where the model has none of its own.

        A file that has become unreadable costs no model: what was read before stays.
        """
        if all(_has(items, name) for name in DETAILS):
            return items
        self._look_again()
        details = items.details
        for name, (event, known, missing) in DETAILS.items():
            if name not in self._table.columns or _has(items, name):
                continue
            rows = self._table.filter(pl.col(name).is_not_null())
            position = items.index(rows["item"])
            found = rows.with_columns(position=position).filter(pl.col("position") >= 0)
            found = found.unique("position", keep="first", maintain_order=True)
            places = pl.DataFrame({"position": range(len(items))}, schema={"position": pl.Int64})
            values = places.join(
                found.select("position", name), on="position", how="left", maintain_order="left"
            )[name]
            details = details.with_columns(values) if details.width else pl.DataFrame(values)
            n_without = values.null_count()
            log(
                event, logging.INFO if n_without < len(values) else logging.WARNING, model=model,
                **{known: len(values) - n_without, missing: n_without},
                unknown=int((position < 0).sum()),
            )  # fmt: skip
        return Vocabulary(items.ids, details)

    def _look_again(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._table, self._stamp = _read(self._path), stamp
        except DataError as error:
            log("titles-not-read", logging.ERROR, **failure(error))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name a file") from None
    return told.st_mtime_ns, told.st_size


def _has(items: Vocabulary, name: str) -> bool:
    """Whether any item has this detail."""
    return name in items.details.columns and items.details[name].null_count() < len(items)


def _read(path: Path) -> pl.DataFrame:
    """Columns `item` (Int64 or String), `title`, and `genres` (lists of text) where there are any.

    Genres that cannot be told or read are left out, which the log says: titles do without them.
    """
    try:
        rows = read_item_table(path, only=True, need_title=True)
    except DataError as error:
        rows = read_item_table(path, given={"genres": ""}, only=True, need_title=True)
        log("genres-not-read", logging.WARNING, **failure(error))
    if "genres" in rows.columns and rows["genres"].dtype == pl.String:
        parts = pl.col("genres").str.split("|").list.eval(pl.element().str.strip_chars())
        rows = rows.with_columns(parts)
    return rows.with_columns(pl.col("title").str.head(MAX_TITLE))
