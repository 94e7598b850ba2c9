"""Titles and genres of items, from a file beside the events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from nearfar.bundle.registered import ITEMS
from nearfar.core.errors import SchemaError, SettingsError
from nearfar.core.files import atomic_file, remove
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details
from nearfar.data.item_features import ItemFeatures, features_of
from nearfar.tables.columns import quoted
from nearfar.tables.item_table import read_item_table


@dataclass(frozen=True)
class ItemDetails:
    """Where the titles of items are; read at every run.

    Args:
        path: of a Parquet, CSV or TSV file; a row per item, of which the first counts.
        item: its column of ids.
        title: its column of titles.
        genres: its column of genres, as lists or as text with | between; left out if it has none.
        features: its columns that tell new items from each other, as genres, tags or price: items
            that came since the training are added by them every day; see `read_item_features`.
        exposure: how often new items are recommended, relative to known ones with like features.

    Raises: SettingsError where two columns are one.

    Examples:
        >>> from nearfar.jobs.details import ItemDetails
        >>> ItemDetails("items.csv", item="sku", title="product_title").genres
        'genres'
    """

    path: str
    item: str = "item"
    title: str = "title"
    genres: str = "genres"
    features: tuple[str, ...] = ()
    exposure: float = 1.0

    def __post_init__(self) -> None:
        if len({self.item, self.title, self.genres}) < 3:
            raise SettingsError(
                f"items: item is {self.item!r}, title {self.title!r}, genres {self.genres!r}; "
                "three columns were expected"
            )
        if self.exposure <= 0:
            raise SettingsError(f"items: exposure is {self.exposure}; it must be above 0")

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

    def read_features(self) -> ItemFeatures:
        """Read the columns of features.

        Raises:
            DataError: the file cannot be read.
            SchemaError: it lacks a column.
        """
        given = {"item": self.item, "title": self.title, "genres": self.genres}
        if self.genres == "genres":
            del given["genres"]
        table = read_item_table(self.path, given=given)
        features = [("genres" if name == self.genres else name) for name in self.features]
        for name in features:
            if name not in table.columns:
                raise SchemaError(
                    f"items {self.path} has no column {name!r} of features; it has "
                    f"{quoted(table.columns)}; name its columns in [items]"
                )
        return features_of(table.select("item", "title", *features), str(self.path))

    def told_of(self, ids: Vocabulary, found: pl.DataFrame) -> tuple[Vocabulary, int]:
        """Ids with their details, and how many of them have a title.

        Args:
            ids: of a catalogue.
            found: as `read` gives it.
        """
        vocabulary = with_details(ids, found)
        titles = vocabulary.titles
        return vocabulary, 0 if titles is None else len(titles) - titles.null_count()


def refresh_items(
    details: ItemDetails | None, registry: Path, say: Callable[[str], object]
) -> None:
    """Give all versions of a registry the newest titles and genres; no training is needed.

    Args:
        details: where they are; None takes what an earlier run has written away again.
        registry: the folder; its `items.parquet` is written where something has changed.
        say: told of a change.

    Raises:
        DataError: the file cannot be read.
        SchemaError: it lacks a column.
    """
    path = registry / ITEMS
    if details is None:
        remove(path)
        return
    table = details.read()
    try:
        if path.exists() and pl.read_parquet(path).equals(table):
            return
    except (PolarsError, OSError):
        pass  # damaged; written anew
    registry.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        table.write_parquet(file)
    n_items = table.filter(pl.col("title").is_not_null())["item"].n_unique()
    say(f"titles of {n_items:,} items are taken from {details.path}")
