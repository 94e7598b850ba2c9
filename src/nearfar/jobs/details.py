"""Titles of items, from a file beside the events."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details


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
        table = _table(Path(self.path))
        if missing := [n for n in (self.item, self.title) if n not in table.columns]:
            raise DataError(
                f"items {self.path} have no column {' and no '.join(missing)}, but "
                f"{', '.join(table.columns)}; name theirs in [items]"
            )
        found = table.select(
            pl.col(self.item).alias("item"), pl.col(self.title).cast(pl.String).alias("title"),
            *([pl.col(self.genres).alias("genres")] if self.genres in table.columns else []),
        )  # fmt: skip
        return found.filter(pl.col("item").is_not_null())

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


def _table(path: Path) -> pl.DataFrame:
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pl.read_parquet(path, glob=False, hive_partitioning=False)
        separator = "\t" if path.suffix.lower() == ".tsv" else ","
        return pl.read_csv(path, separator=separator, infer_schema=False, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"items {path} cannot be read: {told}") from None
