"""Features of items, such as genres, tags, prices or embeddings, as one sparse matrix."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy.sparse import csr_array, hstack

from nearfar.core.errors import EmptyDataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details
from nearfar.data.feature_column import FeatureColumn
from nearfar.data.feature_reader import FeatureReader
from nearfar.data.id_remarks import remarks_on_ids
from nearfar.tables.columns import quoted
from nearfar.tables.item_table import items_of, read_item_table
from nearfar.tables.report import ReadReport
from nearfar.tables.table import FrameTable


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Items and their features; `read_item_features` makes it.

    Args:
        ids: the items, with title and genres if the table has them.
        blocks: the features by column.
        remarks: remarks on how the columns were read.

    Examples:
        >>> frame = pl.DataFrame({"item": [0, 1], "genres": ["Drama|War", "Drama"]})
        >>> nf.read_item_features(frame).names
        ['genres=Drama', 'genres=War']
    """

    ids: Vocabulary
    blocks: tuple[FeatureColumn, ...]
    remarks: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The names of the features with their column."""
        return [name for block in self.blocks for name in block.labels]

    def encoded(self, known: Int[np.ndarray, " known"]) -> tuple[csr_array, list[str]]:
        """Return items x features on comparable scales, and the features' names.

        Tags are weighted by log((1 + n) / (1 + n_t)), where n_t of the n known items have the tag,
        and each item's tags of a column have length 1. Numbers are standardised; a missing one is
        the mean. Vectors are centred, and have length 1 in the mean. All of this is measured on
        known items, and features that fewer than two of them have are left out.

        Args:
            known: the rows of the items that the model knows.
        """
        n_numbers = sum(b.kind == "number" for b in self.blocks)
        parts, names = zip(*(b.scaled(known, n_numbers) for b in self.blocks), strict=True)
        return csr_array(hstack(parts, format="csr")), [name for each in names for name in each]


def read_item_features(source: str | Path | pl.DataFrame) -> ItemFeatures:
    """Read features of items from a file or a Polars frame.

    Two layouts are read:

    - Long: one row per feature of an item, with the columns item, feature and optionally value, the
      weight of the feature.
    - Wide: one row per item. Text is split at | and ; into tags, numbers are standardised, lists of
      text are tags, lists of numbers are embeddings. A list may be written as JSON. The tags of
      several rows of an item are combined. Titles are not features.

    Raises:
        DataError: the source cannot be read, or a value is not a finite number.
        EmptyDataError: the source has no item.
        SchemaError: the source has no column of items, or none of features.

    Examples:
        >>> frame = pl.DataFrame({"item": [0, 1], "year": [1999, 2004]})
        >>> nf.read_item_features(frame).ids
        Vocabulary(2 integer ids)
    """
    report = ReadReport()
    if isinstance(source, pl.DataFrame):
        where = "the frame"
        table = items_of(FrameTable(source, where), report)
    else:
        where = str(source)
        table = read_item_table(source, report=report)
    if "item" not in table.columns:
        raise SchemaError(f"{where} has no column 'item'; it has {quoted(table.columns)}")
    if not table.height:
        raise EmptyDataError(f"{where} has no item; give one row per item, or per item and feature")
    features = features_of(table, where)
    id_remarks = remarks_on_ids("item", features.ids.ids)
    return replace(features, remarks=(*report.losses(), *features.remarks, *id_remarks))


def features_of(table: pl.DataFrame, where: str = "the table") -> ItemFeatures:
    """Return the features in a table of items with the column "item"; see `read_item_features`."""
    unique = table["item"].unique(maintain_order=True)
    own = [c for c in ("title", "genres") if c in table.columns]
    ids = with_details(Vocabulary(unique), table.select("item", *own) if own else None)
    reader = FeatureReader(Vocabulary(unique).index(table["item"]), len(unique), where)
    blocks = reader.read(table)
    if not blocks:
        raise SchemaError(
            f"{where} has no column of features; it has {quoted(table.columns)}: add columns such "
            "as genres or price, or have the columns item, feature and value"
        )
    return ItemFeatures(ids, blocks, tuple(reader.remarks))


def united(features: ItemFeatures, table: pl.DataFrame) -> ItemFeatures:
    """Return features with those of further items from a table whose columns are the same.

    Args:
        features: of some items.
        table: further items; columns that are no features of these are not read.
    """
    columns = [b.column for b in features.blocks if b.column in table.columns]
    if not columns:
        return features
    reader = FeatureReader(np.arange(table.height), table.height, "the bundle")
    others = {b.column: b for b in reader.read(table.select(columns))}
    blocks = []
    for block in features.blocks:
        other = others.get(block.column)
        names: list[str] = list(dict.fromkeys([*block.names, *(other.names if other else [])]))
        place = {name: i for i, name in enumerate(names)}
        parts = [(block, 0)] + ([(other, len(features.ids))] if other else [])
        entries = [
            (c.data, c.row + first, np.array([place[n] for n in b.names], np.int64)[c.col])
            for b, first in parts
            for c in [b.values.tocoo()]
        ]
        data, row, column = (np.concatenate(values) for values in zip(*entries, strict=True))
        shape = (len(features.ids) + table.height, len(names))
        values = csr_array((data, (row, column)), shape=shape)
        blocks.append(FeatureColumn(block.column, block.kind, names, values))
    details = pl.concat([features.ids.frame(), table.select("id")], how="diagonal_relaxed")
    return replace(features, ids=Vocabulary.from_frame(details), blocks=tuple(blocks))
