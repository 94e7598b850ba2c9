"""Which of a user's items become targets, and parting them from the rest."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.data.interactions import FoldIn, Interactions


def random_targets(x: csr_array, n_targets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of every row, the `n_targets` stored entries with the lowest of random keys (a mask)."""
    counts = np.diff(x.indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rng.random(x.nnz), rows))
    place = np.empty(x.nnz, np.int64)
    place[order] = np.arange(x.nnz) - np.repeat(x.indptr[:-1], counts)
    return place < n_targets[rows]


def parted(data: Interactions, is_target: np.ndarray, name: str) -> FoldIn:
    """The stored entries where `is_target` as what is to be found, the others as fold-in."""
    fold_in, held_out = (_masked(data, keep) for keep in (~is_target, is_target))
    return FoldIn(fold_in, held_out, name)


def _masked(data: Interactions, keep: np.ndarray) -> Interactions:
    x = csr_array((keep.astype(np.float32), data.x.indices, data.x.indptr), shape=data.x.shape)
    return Interactions(x, data.user_ids, data.item_ids)
