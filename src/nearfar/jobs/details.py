"""Titles of items, from a file beside the events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details
from nearfar.data.item_table import read_item_table


@dataclass(frozen=True)
class ItemDetails:
    """Where the titles of items are; read at every training.

    Args:
        path: Parquet, CSV or, as .tsv, CSV with tabs; a row an item, the first of an id counts.
        item: its column of ids.
        title: its column of titles.
        genres: its column of genres, as lists or as text with | between; left out if it has none.

    Raises: SettingsError where two columns are one.
    """

    path: str
    item: str = "item"
    title: str = "title"
    genres: str = "genres"

    def __post_init__(self) -> None:
        if len({self.item, self.title, self.genres}) < 3:
            raise SettingsError(
                f"items: item is {self.item!r}, title {self.title!r}, genres {self.genres!r}; "
                "three columns were expected"
            )

    def read(self) -> pl.DataFrame:
        """The columns item, title and, where the file has it, genres.

        Raises: DataError where the file cannot be read or lacks a column.
        """
        found = read_item_table(Path(self.path), self._columns)
        return found.with_columns(pl.col("title").cast(pl.String)).filter(
            pl.col("item").is_not_null()
        )

    def _columns(self, names: Sequence[str]) -> dict[str, str]:
        if missing := [n for n in (self.item, self.title) if n not in names]:
            raise DataError(
                f"items {self.path} have no column {' and no '.join(missing)}, but "
                f"{', '.join(names)}; name theirs in [items]"
            )
        genres = {"genres": self.genres} if self.genres in names else {}
        return {"item": self.item, "title": self.title, **genres}

    def told_of(self, ids: Vocabulary, found: pl.DataFrame) -> tuple[Vocabulary, int]:
        """Ids with their details, and how many of them have a title.

        Args:
            ids: of a catalogue.
            found: as `read` gives it.
        """
        typed = found.with_columns(pl.col("item").cast(ids.ids.dtype, strict=False))
        vocabulary = with_details(ids, typed.filter(pl.col("item").is_not_null()))
        titles = vocabulary.titles
        return vocabulary, 0 if titles is None else len(titles) - titles.null_count()
