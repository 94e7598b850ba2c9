"""Extends a catalogue with items that were added after training, and their features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.item_features import ItemFeatures, united
from nearfar.tables.columns import quoted

PLACED_BY = "placed_by"
"""The column of details with the main features of a new item."""
MAX_NAMED = 5


class NothingNewError(DataError):
    """All items are already known."""


@dataclass(frozen=True, eq=False)
class ExtendedCatalogue:
    """The known items, followed by the new items, with their features.

    Args:
        items: ids and details; known items come first, in their order. New ones have the names of
            their main features in the column `placed_by`.
        known: features of the known items.
        new: features of the new items.
        features: names of the features.
        left_out: ids of new items that share no feature with known items.
    """

    items: Vocabulary
    known: csr_array
    new: csr_array
    features: list[str]
    left_out: pl.Series


def extended_catalogue(items: Vocabulary, features: ItemFeatures) -> ExtendedCatalogue:
    """Return the catalogue of a model with the new items of `features` added.

    Known items that are missing in `features` get theirs from `items.details`, such as genres
    from the log.

    Raises:
        NothingNewError: no item is new.
        DataError: the kind of the ids differs, or no new item has a feature that at least two
            known items have.
    """
    ids = features.ids
    positions = items.index(ids.ids)
    new = np.flatnonzero(positions < 0)
    if not len(new):
        raise NothingNewError(
            f"all {len(ids):,} items with features are known to the bundle already "
            f"(for example {ids.ids[0]!r}), so there is nothing to add; give new items"
        )
    if items.is_integer and not ids.is_integer:
        raise DataError(
            f"the id of the new item {ids.ids[int(new[0])]!r} is text and the bundle's ids are "
            "integers; give integers"
        )
    missing = np.setdiff1d(np.arange(len(items)), positions)
    if len(missing) and items.details.width:
        features = united(features, items.take(missing).frame())
        positions = np.concatenate([positions, missing])[: len(features.ids)]
    rows = np.flatnonzero(positions >= 0)
    encoded, names = features.encoded(rows)
    if not names or not encoded[new].nnz:
        raise DataError(_no_overlap(features, rows, new, items.details.columns))
    known = _scattered(encoded[rows], positions[rows], len(items))
    has_feature = np.diff(encoded[new].indptr) > 0
    rows_of_new = csr_array(encoded[new[has_feature]])
    placed_by = pl.Series(PLACED_BY, _main_features(features, rows_of_new, names))
    details = ids.take(new[has_feature]).frame().with_columns(placed_by)
    if not items.is_integer:
        details = details.with_columns(pl.col("id").cast(pl.String))
    frame = pl.concat([items.frame(), details], how="diagonal_relaxed")
    return ExtendedCatalogue(
        Vocabulary.from_frame(frame), known, rows_of_new, names,
        ids.ids.gather(new[~has_feature]),
    )  # fmt: skip


def _main_features(features: ItemFeatures, x: csr_array, names: list[str]) -> list[list[str]]:
    """Return for each row the features with the largest values, at most five.

    Tags have their own names; numbers and vectors that of their column.
    """
    short_names = {
        label: name if block.kind == "tags" else block.column
        for block in features.blocks
        for label, name in zip(block.labels, block.names, strict=True)
    }
    result = []
    for start, end in zip(x.indptr[:-1], x.indptr[1:], strict=True):
        largest_first = np.argsort(-np.abs(x.data[start:end]), kind="stable")
        columns = x.indices[start:end][largest_first]
        result.append(list(dict.fromkeys(short_names[names[c]] for c in columns))[:MAX_NAMED])
    return result


def _scattered(x: csr_array, positions: np.ndarray, n_rows: int) -> csr_array:
    """Return a matrix of `n_rows` rows with the rows of `x` at `positions`, the others empty."""
    entries = x.tocoo()
    return csr_array((entries.data, (positions[entries.row], entries.col)),
                     shape=(n_rows, x.shape[1]))  # fmt: skip


def _no_overlap(
    features: ItemFeatures, known: np.ndarray, new: np.ndarray, details: list[str]
) -> str:
    names = np.array(features.names)
    matrices = [b.values for b in features.blocks]
    n_known_items = np.concatenate(
        [np.bincount(x[known].indices, minlength=x.shape[1]) for x in matrices]
    )
    n_new_items = np.concatenate(
        [np.bincount(x[new].indices, minlength=x.shape[1]) for x in matrices]
    )
    known_names = quoted(names[n_known_items > 1][:3].tolist())
    new_names = quoted(names[n_new_items > 0][:3].tolist())
    of_known = (
        f"those of {len(known):,} known items {known_names} ..." if known_names
        else "and no two known items have one of them"
    )  # fmt: skip
    stored = quoted([name for name in details if name != "title"])
    remedy = f"; or name a column as the bundle names its items' features: {stored}"
    return (
        "no new item has a feature that at least two known items have: the new items' features "
        f"are {new_names} ..., {of_known}; give the features of known and new items under the "
        f"same names{remedy if stored else ''}"
    )


def n_trained_items(data: Mapping[str, Any], n_items: int) -> int:
    """Return how many items the model was trained on; items added later come after them.

    Args:
        data: `BundleMetadata.data` of a bundle or an export.
        n_items: number of items of the model.
    """
    record = data.get("new_items") or {}
    # Earlier versions recorded only the number of items that were added last.
    return record.get("n_trained", n_items - record.get("n_new", 0))
