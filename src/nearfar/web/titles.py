"""Titles of items from a file, for models that have none."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.columns import OWN_NAMES, SYNONYMS, plain_name
from nearfar.data.item_table import read_item_table
from nearfar.web.limits import MAX_TITLE
from nearfar.web.logs import failure, log

TITLES = (
    "title", "itemtitle", "movietitle", "filmtitle", "booktitle", "producttitle", "songtitle",
    "tracktitle", "articletitle", "gametitle", "name", "itemname", "productname", "artistname",
    "songname", "trackname",
)  # fmt: skip
"""In order of preference; a name wins only where nothing is called a title."""

TOLD = 100
"""So many columns are named in an error."""


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
    return _checked(read_item_table(path, lambda names: _columns(names, path)), path)


def _columns(names: Sequence[str], path: Path) -> dict[str, str]:
    doubled = [name for name, n in Counter(map(plain_name, names)).items() if n > 1]
    title = _column("title", TITLES, names, path, len(TITLES))
    item = _column("item", SYNONYMS["item"], names, path, OWN_NAMES["item"])
    if (
        plain_name(item) in doubled
        or plain_name(title) in doubled
        or f"{title}_duplicated_0" in names
    ):
        raise SchemaError(f"{path} has two columns {item!r} or {title!r}; rename one of them")
    return {"item": item, "title": title}


def _column(role: str, known: Sequence[str], names: Sequence[str], path: Path, n_own: int) -> str:
    """The column of a role, recognised as in logs: without case, spaces and underscores."""
    plain = {plain_name(name): name for name in reversed(names)}
    matching = [name for name in known if name in plain]
    quoted = ", ".join(repr(name) for name in names[:TOLD])
    if not matching:
        raise SchemaError(
            f"{path} has no column known as the {role}; it has {quoted}: call one {role}"
        )
    if len(matching) > 1 and matching[0] not in known[:n_own]:
        could = ", ".join(repr(plain[name]) for name in matching)
        raise SchemaError(f"{path}: {could} could each be the {role}; call one {role}")
    return plain[matching[0]]


def _checked(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    kind, titles = rows["item"].dtype, rows["title"]
    if kind.is_integer():
        # What is beyond 64 bits is no model's id.
        rows = rows.with_columns(pl.col("item").cast(pl.Int64, strict=False))
    elif kind in (pl.Categorical, pl.Enum, pl.String, pl.Null):
        rows = rows.with_columns(pl.col("item").cast(pl.String))
    else:
        raise SchemaError(f"{path}: the item column is {kind}; make it integers or text")
    if titles.dtype not in (pl.Categorical, pl.Enum, pl.String, pl.Null):
        raise SchemaError(f"{path}: the title column is {titles.dtype}; make it text")
    text = pl.col("title").cast(pl.String).str.strip_chars().str.head(MAX_TITLE)
    return rows.with_columns(title=text).filter(
        pl.col("item").is_not_null() & (pl.col("title").str.len_bytes() > 0)
    )
