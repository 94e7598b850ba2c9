"""Titles, genres and features of items, from a file beside the events."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from nearfar.bundle.registry_layout import ITEMS
from nearfar.core.errors import DataError, SchemaError, SettingsError, near_hint
from nearfar.core.files import atomic_file, remove
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import titles_message, with_details
from nearfar.data.item_features import ItemFeatures, features_of
from nearfar.tables.columns import quoted
from nearfar.tables.dialect import TextOptions
from nearfar.tables.item_table import read_item_table, remark_on_repeats
from nearfar.tables.report import ReadReport
from nearfar.tables.table import ReadOptions


@dataclass(frozen=True)
class ItemDetails:
    """The file of item titles, and its columns; read at every run.

    Args:
        path: Parquet, CSV or TSV file with one row per item; of several, the first counts.
        item: column of ids; by default recognised as in a log.
        title: column of titles; by default recognised.
        genres: column of genres, as lists or as text separated by |; by default recognised, and
            left out if there is none.
        table: table to read if the file is an SQLite database with several.
        encoding: encoding of a text file that is not UTF-8, such as "latin-1".
        features: columns that describe new items, such as genres, tags or price. Every day they
            add the items that came since the training; see `read_item_features`.
        exposure: how often new items are recommended, relative to known items with like features.

    Raises:
        SettingsError: two columns are the same, or the exposure is not above 0.

    Examples:
        >>> from nearfar.jobs.item_details import ItemDetails
        >>> ItemDetails("items.csv", item="sku", title="product_title").title
        'product_title'
    """

    path: str
    item: str | None = None
    title: str | None = None
    genres: str | None = None
    features: tuple[str, ...] = ()
    exposure: float = 1.0
    table: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        columns = [name for name in (self.item, self.title, self.genres) if name is not None]
        if len(set(columns)) < len(columns):
            raise SettingsError(
                f"items: item is {self.item!r}, title {self.title!r}, genres {self.genres!r}; "
                "different columns were expected"
            )
        if self.exposure <= 0:
            raise SettingsError(f"items: exposure is {self.exposure}; it must be above 0")

    def read(self, report: ReadReport | None = None) -> pl.DataFrame:
        """Read the columns item, title and, if the file has it, genres.

        Args:
            report: filled with what was left out or converted.

        Raises:
            DataError: the file cannot be read.
            SchemaError: a column is missing.
        """
        names = {"item": self.item, "title": self.title, "genres": self.genres}
        try:
            table = read_item_table(
                self.path, given=names, only=True, need_title=True, options=self._options,
                report=report,
            )  # fmt: skip
        except SchemaError as error:
            what = error.args[0].partition(": ")[0]  # drop the options of the command line
            raise SchemaError(
                f'[items]: {what}; name its columns in [items], as item = "sku" and title = "name"'
            ) from None
        except DataError as error:
            raise DataError(f"[items]: {error}") from None
        if report is not None:
            report.remarks += filter(None, [remark_on_repeats(table)])
        return table

    def read_and_tell(self, say: Callable[[str], object]) -> pl.DataFrame:
        """Read as `read` does, and tell what was left out or converted."""
        report = ReadReport()
        table = self.read(report)
        for line in report.losses():
            say(f"{self.path}: {line}")
        return table

    @property
    def _options(self) -> ReadOptions:
        return ReadOptions(table=self.table, text=TextOptions(encoding=self.encoding))

    def read_features(self) -> ItemFeatures:
        """Read the columns of features.

        Raises:
            DataError: the file cannot be read.
            SchemaError: a column is missing.
        """
        report = ReadReport()
        table = self._feature_table(report)
        genres = self.genres if self.genres in self.features else None
        features = features_of(table.rename({genres: "genres"} if genres else {}), str(self.path))
        return replace(features, remarks=(*report.losses(), *features.remarks))

    def check_features(self) -> None:
        """Check that the file has the columns of features; raise as `read_features`."""
        if self.features:
            self._feature_table()

    def _feature_table(self, report: ReadReport | None = None) -> pl.DataFrame:
        # Columns keep their names here: a feature is found by the name in the settings.
        columns = {"item": self.item, "title": self.title, "genres": ""}
        table = read_item_table(self.path, given=columns, options=self._options, report=report)
        others = [name for name in table.columns if name not in ("item", "title")]
        for name in self.features:
            if name not in others:
                raise SchemaError(
                    f"items {self.path} has no column {name!r} for items.features; "
                    f"{near_hint(name, others)}beside ids and titles it has {quoted(others)}"
                )
        return table.select("item", "title", *self.features)

    def apply_to(self, ids: Vocabulary, details: pl.DataFrame) -> tuple[Vocabulary, str]:
        """Return a catalogue with its details, and a line on how many items have a title.

        Args:
            ids: ids of the catalogue.
            details: details, as `read` returns them.
        """
        vocabulary = with_details(ids, details)
        return vocabulary, f"{self.path}: {titles_message(vocabulary, details)[1]}"


def refresh_items(
    details: ItemDetails | None, registry: Path, say: Callable[[str], object]
) -> None:
    """Give all versions of a registry the newest titles and genres, without a training.

    Args:
        details: the file of titles; None removes the titles that an earlier run wrote.
        registry: the registry's folder; its `items.parquet` is written if something has changed.
        say: receives a line per change.

    Raises:
        DataError: the file cannot be read.
        SchemaError: a column is missing, also one of features.
    """
    path = registry / ITEMS
    if details is None:
        remove(path)
        return
    report = ReadReport()
    table = details.read(report)
    if _refresh_titles(path, table):
        n_items = table.filter(pl.col("title").is_not_null())["item"].n_unique()
        say(f"titles of {n_items:,} items are taken from {details.path}")
        for line in report.losses():
            say(f"{details.path}: {line}")
    details.check_features()


def _refresh_titles(path: Path, table: pl.DataFrame) -> bool:
    """Write the table if it differs from the one in `path`; return whether it did."""
    try:
        if path.exists() and pl.read_parquet(path).equals(table):
            return False
    except (PolarsError, OSError):
        pass  # a damaged file is written anew
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        table.write_parquet(file)
    return True
