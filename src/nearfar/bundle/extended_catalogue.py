"""A catalogue with items that came after the training: which are new, and their features."""

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


class NothingNewError(DataError):
    """All items are known already."""


@dataclass(frozen=True, eq=False)
class ExtendedCatalogue:
    """Known items, then new ones, with their features.

    Args:
        items: ids and details, the known ones first and in their order.
        known: features of the known items.
        new: features of the new ones.
        features: names of the features.
        left_out: ids of new items without any feature that a known item has.
    """

    items: Vocabulary
    known: csr_array
    new: csr_array
    features: list[str]
    left_out: pl.Series


def extended_catalogue(items: Vocabulary, features: ItemFeatures) -> ExtendedCatalogue:
    """Return the catalogue of a model with the new items among `features`.

    Known items whose features are not given have those of `items.details`, as genres that came
    with the log.

    Raises:
        NothingNewError: no item is new.
        DataError: ids are of another kind, or no new item has a feature that at
            least two known items have.
    """
    given = features.ids
    position = items.index(given.ids)
    new = np.flatnonzero(position < 0)
    if not len(new):
        raise NothingNewError(
            f"all {len(given):,} items with features are known to the bundle already "
            f"({given.ids[0]!r} for one), so that there is nothing to add; give new items"
        )
    if items.is_integer and not given.is_integer:
        raise DataError(
            f"the id of the new item {given.ids[int(new[0])]!r} is text and the bundle's ids are "
            "integers; give integers"
        )
    missing = np.setdiff1d(np.arange(len(items)), position)
    if len(missing) and items.details.width:
        features = united(features, items.take(missing).frame())
        position = np.concatenate([position, missing])[: len(features.ids)]
    rows = np.flatnonzero(position >= 0)
    encoded, names = features.encoded(rows)
    if not names or not encoded[new].nnz:
        raise DataError(_no_overlap(features, rows, new))
    known = _placed(encoded[rows], position[rows], len(items))
    having = np.diff(encoded[new].indptr) > 0
    details = given.take(new[having]).frame()
    if not items.is_integer:
        details = details.with_columns(pl.col("id").cast(pl.String))
    frame = pl.concat([items.frame(), details], how="diagonal_relaxed")
    return ExtendedCatalogue(
        Vocabulary.from_frame(frame), known, csr_array(encoded[new[having]]), names,
        given.ids.gather(new[~having]),
    )  # fmt: skip


def _placed(x: csr_array, positions: np.ndarray, n_rows: int) -> csr_array:
    """Rows at their positions among `n_rows`; the others are empty."""
    entries = x.tocoo()
    return csr_array((entries.data, (positions[entries.row], entries.col)),
                     shape=(n_rows, x.shape[1]))  # fmt: skip


def _no_overlap(features: ItemFeatures, known: np.ndarray, new: np.ndarray) -> str:
    names = np.array(features.names)
    parts = [b.values for b in features.blocks]
    of_known = np.concatenate([np.bincount(x[known].indices, minlength=x.shape[1]) for x in parts])
    of_new = np.concatenate([np.bincount(x[new].indices, minlength=x.shape[1]) for x in parts])
    theirs = quoted(names[of_known > 1][:3].tolist()) or "none"
    return (
        f"no new item has a feature that at least two known items have: the new items' features "
        f"are {quoted(names[of_new > 0][:3].tolist())} ..., those of {len(known):,} known items "
        f"{theirs} ...; give the features of known and new items under the same names"
    )


def n_trained_items(data: Mapping[str, Any], n_items: int) -> int:
    """Return how many items the model was trained on; those that came later stand after them.

    Args:
        data: what a bundle or an export tells of its data, `About.data`.
        n_items: of the model.
    """
    added = data.get("new_items") or {}
    # A bundle that was extended before this number was written tells only what came last.
    return added.get("n_trained", n_items - added.get("n_new", 0))
