"""What splits share: choosing targets, parting them from the rest, enough items."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.data.interactions import FoldIn, Interactions


def random_targets(x: csr_array, n_targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of every row, the `n_targets` stored entries with the lowest of random keys (a mask)."""
    counts = np.diff(x.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(x.nnz), rows))
    place = np.empty(x.nnz, np.int64)
    place[order] = np.arange(x.nnz) - np.repeat(x.indptr[:-1], counts)
    return place < n_targets[rows]


def new_entries(found: csr_array, known: csr_array) -> csr_array:
    """The entries of a binary matrix that another of the same shape does not have."""
    new = csr_array(found - found.multiply(known))
    new.eliminate_zeros()
    return new


def parted(data: Interactions, is_target: np.ndarray, name: str) -> FoldIn:
    """The stored entries where `is_target` as what is to be found, the others as fold-in."""
    return FoldIn(data.only(~is_target), data.only(is_target), name)


def parted_by_share(
    data: Interactions, target_share: float, rng: np.random.Generator, name: str
) -> FoldIn:
    """Random items of each user as what is to be found, the others as fold-in.

    Of users with two items or more `target_share` of the items, rounded down, at least one; of
    others none.
    """
    n_items = np.diff(data.x.indptr)
    n_targets = np.maximum(1, (target_share * n_items).astype(np.int64)) * (n_items > 1)
    return parted(data, random_targets(data.x, n_targets, rng), name)


MIN_ITEMS = 2


def enough_items(train: Interactions, name: str) -> Interactions:
    """`train`, if it leaves anything to choose between.

    Raises:
        DataError: train knows one item only.
    """
    if train.n_items < MIN_ITEMS:
        only = ", ".join(map(str, train.item_ids.ids.to_list())) or "none"
        raise DataError(
            f"{name} has too few items to train on: {only}; at least {MIN_ITEMS} are "
            "needed: loosen the filters, or check which column is the item"
        )
    return train
