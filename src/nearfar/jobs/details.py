"""Titles and genres of items, from a file beside the events."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from nearfar.core.errors import SchemaError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details
from nearfar.tables.item_table import read_item_table


@dataclass(frozen=True)
class ItemDetails:
    """Where the titles of items are; read at every training.

    Args:
        path: of a Parquet, CSV or TSV file; a row per item, of which the first counts.
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
        """Read the columns item, title and, where the file has it, genres.

        Raises:
            DataError: the file cannot be read.
            SchemaError: it lacks a column.
        """
        names = {"item": self.item, "title": self.title, "genres": self.genres}
        if self.genres == "genres":
            del names["genres"]  # it may be missing
        try:
            return read_item_table(self.path, given=names, only=True, need_title=True)
        except SchemaError as error:
            raise SchemaError(f"items {error}; name its columns in [items]") from None

    def told_of(self, ids: Vocabulary, found: pl.DataFrame) -> tuple[Vocabulary, int]:
        """Ids with their details, and how many of them have a title.

        Args:
            ids: of a catalogue.
            found: as `read` gives it.
        """
        vocabulary = with_details(ids, found)
        titles = vocabulary.titles
        return vocabulary, 0 if titles is None else len(titles) - titles.null_count()
