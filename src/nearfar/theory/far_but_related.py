"""Help from users who are far by the items that differ, but alike in taste."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import DataError, SettingsError


@dataclass(frozen=True, eq=False)
class FarButRelated:
    """How much of a user's first-order help comes from far but related users.

    Args:
        help_share: the share of all help that a user gets, " users"; NaN where nobody helps.
        user_share: which share of the others these are, " users": what it would be by chance.
    """

    help_share: Float64[np.ndarray, " users"]
    user_share: Float64[np.ndarray, " users"]


def far_but_related(
    products: Float64[np.ndarray, "users users"],
    distance: Float64[np.ndarray, "users users"],
    unlikeness: Float64[np.ndarray, "users users"],
    near_share: float = 0.1,
) -> FarButRelated:
    """Far by `distance`, not among its nearest `near_share`; related by `unlikeness`, among its.

    Args:
        products: <G_u, G_v>, see `gradient_products`; the diagonal is left out. Help is their
            positive part.
        distance: ||x_u - x_v||_1 in items, by which the paper calls users far.
        unlikeness: how unlike two tastes are, such as the Jaccard distance.
        near_share: which share of the others is near, and which related.

    Source: section 2, which speaks of far but related users; the measure is ours.
    Raises: as `nearness`.
    """
    chosen = related_and_not(distance, unlikeness, near_share)[0]
    if products.shape != distance.shape:
        raise DataError(
            f"products have shape {products.shape} and distances {distance.shape}; give both of "
            "the same users"
        )
    helps = np.maximum(products, 0)
    np.fill_diagonal(helps, 0)
    total = helps.sum(1)
    share = np.full(len(total), np.nan)
    np.divide((helps * chosen).sum(1), total, out=share, where=total > 0)
    return FarButRelated(share, chosen.sum(1) / (len(total) - 1))


def related_and_not(
    distance: Float64[np.ndarray, "users users"],
    unlikeness: Float64[np.ndarray, "users users"],
    near_share: float = 0.1,
) -> tuple[Float64[np.ndarray, "users users"], Float64[np.ndarray, "users users"]]:
    """Weights of each user's far but related others, and of the least related ones.

    Args:
        distance: ||x_u - x_v||_1 in items.
        unlikeness: how unlike two tastes are, such as the Jaccard distance.
        near_share: which share of the others is near, related, or least related.

    Returns:
        Far by `distance` and related by `unlikeness`; and of the `near_share` with the greatest
        `unlikeness`. Others at one distance have equal weights.

    Raises: as `nearness`.
    """
    related = (1 - nearness(distance, near_share)) * nearness(unlikeness, near_share)
    return related, nearness(-unlikeness, near_share)


def nearness(
    distance: Float64[np.ndarray, "users users"], near_share: float
) -> Float64[np.ndarray, "users users"]:
    """1 for each user's nearest others, 0 for the rest and the user; rows sum to their number.

    Of others at one distance each is as near as the next: where not all of them can be near,
    each is in part.

    Raises:
        DataError: distances are not square, or of fewer than three users.
        SettingsError: `near_share` is not between 0 and 1.
    """
    n = len(distance)
    if distance.shape != (n, n) or n < 3:
        raise DataError(
            f"distances have shape {distance.shape}; give square ones of three users or more"
        )
    if not 0 < near_share < 1:
        raise SettingsError(f"near_share is {near_share}; it must be between 0 and 1")
    found = np.zeros((n, n))
    for user, row in enumerate(distance):
        others = np.delete(row, user)
        inverse, size = np.unique(others, return_inverse=True, return_counts=True)[1:]
        nearer = np.cumsum(size) - size
        part = np.clip((near_share * (n - 1) - nearer) / size, 0, 1)[inverse]
        found[user] = np.insert(part, user, 0)
    return found
