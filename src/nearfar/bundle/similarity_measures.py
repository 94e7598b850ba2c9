"""Similarities of items from a fitted model's vectors or weights; needs no PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

TINY = 1e-12


def unit_vectors(vectors: Float[np.ndarray, "items d"]) -> Float[np.ndarray, "items d"]:
    """Return the vectors less their mean, scaled to length one."""
    centred = vectors - vectors.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), TINY)
    return centred.astype(np.float32)


def cosines(
    units: Float[np.ndarray, "items d"],
    rows: Int[np.ndarray, " rows"],
    columns: Int[np.ndarray, " columns"] | None,
) -> Float[np.ndarray, "rows columns"]:
    """Return the cosines of items (rows) with others or with all (columns)."""
    others = units if columns is None else units[columns]
    return np.clip(units[rows] @ others.T, -1, 1)


def shares_added(
    weights: Float[np.ndarray, "rows items"],
    rows: Int[np.ndarray, " rows"],
    columns: Int[np.ndarray, " columns"] | None,
) -> Float[np.ndarray, "rows columns"]:
    """Return the weights of items to others, each row divided by its largest absolute value.

    Args:
        weights: the items' rows of an item-item model; changed in place.
        rows: positions of the items.
        columns: positions of the other items; None for all.
    """
    diagonal = np.arange(len(rows)), rows
    weights[diagonal] = 0
    weights /= np.maximum(np.abs(weights).max(1, keepdims=True), TINY)
    weights[diagonal] = 1
    return weights if columns is None else weights[:, columns]


def cosines_of_pools(
    units: Float[np.ndarray, "items d"],
    rows: Int[np.ndarray, "users n"],
    columns: Int[np.ndarray, "users m"],
) -> Float[np.ndarray, "users n m"]:
    """Return the cosines of each user's items with others; undefined at position -1."""
    return np.clip(units[rows] @ units[columns].transpose(0, 2, 1), -1, 1)


def symmetric_of_pools(
    between: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rows: Int[np.ndarray, "users n"],
    columns: Int[np.ndarray, "users m"],
) -> Float[np.ndarray, "users n m"]:
    """Return the mean of both directions of a similarity, for each user's items and others.

    Args:
        between: returns the similarities of items (rows) to others (columns).
        rows, columns: positions of the items; values at position -1 are undefined.
    """
    result = np.zeros((*rows.shape, columns.shape[1]), np.float32)
    for user, pools in enumerate(zip(rows, columns, strict=True)):
        items = np.unique(np.concatenate(pools).clip(min=0))
        similarities = between(items, items)
        similarities = (similarities + similarities.T) / 2
        indices = (np.searchsorted(items, pool.clip(min=0)) for pool in pools)
        result[user] = similarities[np.ix_(*indices)]
    return result
