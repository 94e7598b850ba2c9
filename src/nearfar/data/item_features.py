"""Features of items, such as genres, tags, prices or embeddings, as one sparse matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy.sparse import csr_array, hstack

from nearfar.core import identity
from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details
from nearfar.data.feature_column import FeatureColumn
from nearfar.tables.columns import ITEM_ROLES, quoted, resolve
from nearfar.tables.item_table import read_item_table

FEATURE, VALUE = "feature", "value"
SEPARATORS = r"[|;]"
DECIMAL_COMMA = r"^[+-]?\d+,(?:\d{1,2}|\d{4,})$"
"""Three digits after a comma may be thousands."""


@dataclass(frozen=True, eq=False)
class ItemFeatures:
    """Items and their features; `read_item_features` makes it.

    Args:
        ids: the items, with their title and genres where the table has them.
        blocks: the features by column.

    Examples:
        >>> frame = pl.DataFrame({"item": [0, 1], "genres": ["Drama|War", "Drama"]})
        >>> nf.read_item_features(frame).names
        ['genres=Drama', 'genres=War']
    """

    ids: Vocabulary
    blocks: tuple[FeatureColumn, ...]

    @property
    def names(self) -> list[str]:
        """The features, each with its column."""
        return [name for block in self.blocks for name in block.labels]

    def encoded(self, known: Int[np.ndarray, " known"]) -> tuple[csr_array, list[str]]:
        """Return items x features on comparable scales, and the features' names.

        Tags are weighted by log((1 + n) / (1 + n_t)), where n_t of the n known items have the tag,
        and each item's tags of a column have length 1. Numbers are standardised; a missing one is
        the mean. Vectors are centred, and have length 1 in the mean. All of this is measured on
        known items, and features that fewer than two of them have are left out.

        Args:
            known: rows of the items that the model knows.
        """
        n_numbers = sum(b.kind == "number" for b in self.blocks)
        parts, names = zip(*(b.scaled(known, n_numbers) for b in self.blocks), strict=True)
        return csr_array(hstack(parts, format="csr")), [name for each in names for name in each]


def read_item_features(source: str | Path | pl.DataFrame) -> ItemFeatures:
    """Read features of items from a file or a Polars frame.

    Two layouts are read. Long: columns item, feature and optionally value, a row per feature of an
    item; value is the feature's weight. Wide: a row per item; text is split at | and ; into tags,
    numbers are standardised, lists of text are tags, lists of numbers are embeddings. An item may
    have several rows, whose tags are united. Titles are no features.

    Raises:
        DataError: the source cannot be read, or a value is not a finite number.
        EmptyDataError: it has no item.
        SchemaError: it has no column of items, or none of features.

    Examples:
        >>> frame = pl.DataFrame({"item": [0, 1], "year": [1999, 2004]})
        >>> nf.read_item_features(frame).ids
        Vocabulary(2 integer ids)
    """
    if isinstance(source, pl.DataFrame):
        where = "the frame"
        roles = resolve(source.columns, where, ITEM_ROLES)
        table = source.rename({column: role for role, column in roles.items() if column != role})
    else:
        where = str(source)
        table = read_item_table(source)
    if "item" not in table.columns:
        raise SchemaError(f"{where} has no column 'item'; it has {quoted(table.columns)}")
    table = table.filter(pl.col("item").is_not_null())
    if not table.height:
        raise EmptyDataError(f"{where} has no item; give a row per item, or per item and feature")
    return features_of(table, where)


def features_of(table: pl.DataFrame, where: str = "the table") -> ItemFeatures:
    """Return the features in a table of items with the column "item"; see `read_item_features`."""
    unique = table["item"].unique(maintain_order=True)
    if unique.dtype != pl.String:
        unique = unique.cast(pl.Int64)
    own = [c for c in ("title", "genres") if c in table.columns]
    ids = with_details(Vocabulary(unique), table.select("item", *own) if own else None)
    rows = Vocabulary(unique).index(identity.looked_up(table["item"], unique.dtype))
    blocks = tuple(_blocks(table, rows, len(unique), where))
    if not blocks:
        raise SchemaError(
            f"{where} has no column of features; it has {quoted(table.columns)}: add columns such "
            "as genres or price, or have the columns item, feature and value"
        )
    return ItemFeatures(ids, blocks)


def united(features: ItemFeatures, table: pl.DataFrame) -> ItemFeatures:
    """Return features with those of further items from a table whose columns are the same.

    Args:
        features: of some items.
        table: further items; columns that are no features of these are not read.
    """
    columns = [b.column for b in features.blocks if b.column in table.columns]
    if not columns:
        return features
    rows = np.arange(table.height)
    others = {b.column: b for b in _blocks(table.select(columns), rows, table.height, "the bundle")}
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
    return ItemFeatures(Vocabulary.from_frame(details), tuple(blocks))


def _blocks(
    table: pl.DataFrame, rows: np.ndarray, n_items: int, where: str
) -> Iterator[FeatureColumn]:
    if FEATURE in table.columns:
        value = table[VALUE] if VALUE in table.columns else None
        weights = None if value is None else _numbers(value, where)
        yield _tags(table[FEATURE].cast(pl.String), rows, n_items, FEATURE, weights)
        return
    for name in table.columns:
        column = table[name]
        if name in ("item", "id", "title") or column.null_count() == len(column):
            continue
        yield _block(column, rows, n_items, where)


def _block(column: pl.Series, rows: np.ndarray, n_items: int, where: str) -> FeatureColumn:
    kind = column.dtype
    if isinstance(kind, pl.List | pl.Array):
        if kind.inner.is_numeric():
            return _vector(column, rows, n_items, where)
        exploded = pl.DataFrame({"row": rows, "tag": column.cast(pl.List(pl.String))}).explode(
            "tag"
        )
        return _tags(exploded["tag"], exploded["row"].to_numpy(), n_items, column.name)
    if kind.is_temporal():
        column = column.cast(pl.Int64)
    if kind == pl.String:
        column, numbers = _spelled_numbers(column)
        if numbers.null_count() > column.null_count():
            lists = column.str.replace_all(";", "|", literal=True).str.split("|")
            return _block(lists, rows, n_items, where)
        column = numbers
    if not column.dtype.is_numeric():
        return _tags(column.cast(pl.String), rows, n_items, column.name)
    present = column.is_not_null().to_numpy()
    values = _numbers(column.drop_nulls(), where)
    # Of several rows of an item the first counts.
    row, first = np.unique(rows[present], return_index=True)
    x = csr_array((values[first], (row, np.zeros(len(row), np.int64))), shape=(n_items, 1))
    return FeatureColumn(column.name, "number", ["value"], x)


def _spelled_numbers(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Text without blanks and words for missing values, and the numbers that it spells."""
    text = column.str.strip_chars()
    absent = identity.missing_words(text) | (text == "")
    text = pl.select(pl.when(~absent.fill_null(True)).then(text).alias(column.name)).to_series()
    if text.str.contains(DECIMAL_COMMA).any() and not text.str.contains(r"\d\.\d").any():
        points = text.str.replace(",", ".", literal=True)
        return text, points.cast(pl.Float64, strict=False)
    return text, text.cast(pl.Float64, strict=False)


def _tags(
    tags: pl.Series,
    rows: np.ndarray,
    n_items: int,
    column: str,
    weights: np.ndarray | None = None,
) -> FeatureColumn:
    frame = pl.DataFrame(
        {"row": rows, "tag": tags.str.strip_chars(),
         "weight": np.ones(len(rows)) if weights is None else weights}
    )  # fmt: skip
    frame = frame.filter(pl.col("tag").is_not_null() & (pl.col("tag") != ""))
    frame = frame.unique(["row", "tag"], keep="first", maintain_order=True)
    names = frame["tag"].unique().sort()
    columns = Vocabulary(names).index(frame["tag"]) if len(names) else np.empty(0, np.int64)
    entries = (frame["weight"].to_numpy(), (frame["row"].to_numpy(), columns))
    x = csr_array(entries, shape=(n_items, len(names)))
    x.eliminate_zeros()
    return FeatureColumn(column, "tags", names.to_list(), x)


def _vector(column: pl.Series, rows: np.ndarray, n_items: int, where: str) -> FeatureColumn:
    lists = column.cast(pl.List(pl.Float64))
    present = lists.is_not_null().to_numpy()
    lengths = lists.drop_nulls().list.len().unique().to_list()
    if len(lengths) > 1 or lists.drop_nulls().explode().null_count():
        raise DataError(
            f"{where}: the lists in {column.name!r} have {min(lengths)} to {max(lengths)} numbers; "
            "embeddings must all have the same length, and no missing numbers"
        )
    values = _numbers(lists.drop_nulls().explode(), where).reshape(-1, lengths[0])
    row, first = np.unique(rows[present], return_index=True)
    columns = np.tile(np.arange(lengths[0]), len(row))
    entries = (values[first].ravel(), (np.repeat(row, lengths[0]), columns))
    x = csr_array(entries, shape=(n_items, lengths[0]))
    return FeatureColumn(column.name, "vector", [str(i) for i in range(lengths[0])], x)


def _numbers(column: pl.Series, where: str) -> np.ndarray:
    values = column.cast(pl.Float64, strict=False)
    wrong = (values.is_null() | ~values.is_finite()).fill_null(True)
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        raise DataError(
            f"{where}: {column.name} is {column[at]!r} in value {at + 1}; expected a finite number"
        )
    return values.to_numpy()
