"""Reads titles and genres of items from a file, for models that have none."""

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
"""Columns of the file -> event of the log, and its fields for items with and without a value."""


class Titles:
    """Titles and genres in a file, which is read again if it changed since the last model.

    Args:
        path: .csv, .tsv (UTF-8) or .parquet with an item and a title column, and optionally one
            of genres, in any order; other columns are ignored. The first row of an item counts.
            Titles are stripped and cut to 300 characters.

    Raises:
        DataError: the file cannot be read, or is larger than 1 GiB or 10 million rows.
        SchemaError: a column is not recognised or has the wrong type.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        self._table = _read(path)

    def onto(self, items: Vocabulary, model: str) -> Vocabulary:
        """Return items with the file's titles and genres; either only if the model has none.

        If the file has become unreadable, the values that were read before are used.
        """
        if all(_has(items, name) for name in DETAILS):
            return items
        self._reload_if_changed()
        details = items.details
        for name, (event, with_field, without_field) in DETAILS.items():
            if name not in self._table.columns or _has(items, name):
                continue
            rows = self._table.filter(pl.col(name).is_not_null())
            position = items.index(rows["item"])
            known_rows = rows.with_columns(position=position).filter(pl.col("position") >= 0)
            known_rows = known_rows.unique("position", keep="first", maintain_order=True)
            all_items = pl.DataFrame({"position": range(len(items))}, schema={"position": pl.Int64})
            values = all_items.join(
                known_rows.select("position", name),
                on="position", how="left", maintain_order="left",
            )[name]  # fmt: skip
            details = details.with_columns(values) if details.width else pl.DataFrame(values)
            n_without = values.null_count()
            log(
                event, logging.INFO if n_without < len(values) else logging.WARNING, model=model,
                **{with_field: len(values) - n_without, without_field: n_without},
                unknown=int((position < 0).sum()),
            )  # fmt: skip
        return Vocabulary(items.ids, details)

    def _reload_if_changed(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._table, self._stamp = _read(self._path), stamp
        except DataError as error:
            log("titles-not-read", logging.ERROR, **failure(error))


def _stamp(path: Path) -> tuple[int, int]:
    """Return the modification time in nanoseconds and the size in bytes of a file."""
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name a file") from None
    return status.st_mtime_ns, status.st_size


def _has(items: Vocabulary, name: str) -> bool:
    """Return whether any item has this detail."""
    return name in items.details.columns and items.details[name].null_count() < len(items)


def _read(path: Path) -> pl.DataFrame:
    """Return the columns `item` (Int64 or String), `title`, and `genres` (lists of text) if any.

    If the genres cannot be read, the titles are returned without them, and this is logged.
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
