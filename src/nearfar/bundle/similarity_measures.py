"""How alike items are, by what a fitted model holds of them; needs no runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

TINY = 1e-12


def unit_vectors(vectors: Float[np.ndarray, "items d"]) -> Float[np.ndarray, "items d"]:
    """Items' vectors less the mean of all, at length one."""
    centred = vectors - vectors.mean(0)
    centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), TINY)
    return centred.astype(np.float32)


def cosines(
    units: Float[np.ndarray, "items d"],
    rows: Int[np.ndarray, " rows"],
    columns: Int[np.ndarray, " columns"] | None,
) -> Float[np.ndarray, "rows columns"]:
    """The cosines of some items with others, or with all."""
    others = units if columns is None else units[columns]
    return np.clip(units[rows] @ others.T, -1, 1)


def shares_added(
    weights: Float[np.ndarray, "rows items"],
    rows: Int[np.ndarray, " rows"],
    columns: Int[np.ndarray, " columns"] | None,
) -> Float[np.ndarray, "rows columns"]:
    """What items add to others' scores, as shares of the most that each adds to any.

    Args:
        weights: the rows of an item-item model that belong to the items; changed in place.
        rows: the items.
        columns: the others; None for all.
    """
    own = np.arange(len(rows)), rows
    weights[own] = 0
    weights /= np.maximum(np.abs(weights).max(1, keepdims=True), TINY)
    weights[own] = 1
    return weights if columns is None else weights[:, columns]


def cosines_of_pools(
    units: Float[np.ndarray, "items d"],
    rows: Int[np.ndarray, "users n"],
    columns: Int[np.ndarray, "users m"],
) -> Float[np.ndarray, "users n m"]:
    """The cosines of each user's items with others; those of the position -1 mean nothing."""
    return np.clip(units[rows] @ units[columns].transpose(0, 2, 1), -1, 1)


def symmetric_of_pools(
    between: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rows: Int[np.ndarray, "users n"],
    columns: Int[np.ndarray, "users m"],
) -> Float[np.ndarray, "users n m"]:
    """The mean of both directions of a similarity, for each user's items and others.

    Args:
        between: the similarities of some items to others.
        rows, columns: positions; those of -1 mean nothing.
    """
    result = np.zeros((*rows.shape, columns.shape[1]), np.float32)
    for user, (own, others) in enumerate(zip(rows, columns, strict=True)):
        items = np.unique(np.concatenate([own, others]).clip(min=0))
        alike = between(items, items)
        alike = (alike + alike.T) / 2
        at = (np.searchsorted(items, positions.clip(min=0)) for positions in (own, others))
        result[user] = alike[np.ix_(*at)]
    return result
