"""Help from far but related users: many items differ, but tastes are similar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import DataError, SettingsError


@dataclass(frozen=True, eq=False)
class FarButRelated:
    """The share of each user's first-order help that comes from far but related users.

    Args:
        help_share: share of each user's help; NaN for users with no help.
        user_share: far but related users as a share of the others: the help share by chance.
    """

    help_share: Float64[np.ndarray, " users"]
    user_share: Float64[np.ndarray, " users"]


def far_but_related(
    products: Float64[np.ndarray, "users users"],
    distance: Float64[np.ndarray, "users users"],
    unlikeness: Float64[np.ndarray, "users users"],
    near_share: float = 0.1,
) -> FarButRelated:
    """Compute the share of help from users who are far by `distance` but near by `unlikeness`.

    Source: section 2, which speaks of far but related users; the measure is ours.

    Args:
        products: <G_u, G_v>, see `gradient_products`; the diagonal is ignored. Help is the
            positive part.
        distance: ||x_u - x_v||_1 in items, the paper's measure of far.
        unlikeness: dissimilarity of tastes, such as the Jaccard distance.
        near_share: share of the others that counts as near by `distance`, and as related by
            `unlikeness`.

    Raises:
        DataError: the matrices differ in shape; see also `nearness`.
        SettingsError: `near_share` is not between 0 and 1.
    """
    weights = related_and_not(distance, unlikeness, near_share)[0]
    if products.shape != distance.shape:
        raise DataError(
            f"products have shape {products.shape} and distances {distance.shape}; give both of "
            "the same users"
        )
    help_received = np.maximum(products, 0)
    np.fill_diagonal(help_received, 0)
    total = help_received.sum(1)
    share = np.full(len(total), np.nan)
    np.divide((help_received * weights).sum(1), total, out=share, where=total > 0)
    return FarButRelated(share, weights.sum(1) / (len(total) - 1))


def related_and_not(
    distance: Float64[np.ndarray, "users users"],
    unlikeness: Float64[np.ndarray, "users users"],
    near_share: float = 0.1,
) -> tuple[Float64[np.ndarray, "users users"], Float64[np.ndarray, "users users"]]:
    """Return weights of each user's far but related users, and of the least related users.

    Args:
        distance: ||x_u - x_v||_1 in items.
        unlikeness: dissimilarity of tastes, such as the Jaccard distance.
        near_share: share of the others that counts as near, as related, and as least related.

    Returns:
        The weights of users far by `distance` and related by `unlikeness`, and the weights of the
        `near_share` with the largest `unlikeness`. Users at equal distance have equal weights.

    Raises:
        DataError: see `nearness`.
        SettingsError: `near_share` is not between 0 and 1.
    """
    related = (1 - nearness(distance, near_share)) * nearness(unlikeness, near_share)
    return related, nearness(-unlikeness, near_share)


def nearness(
    distance: Float64[np.ndarray, "users users"], near_share: float
) -> Float64[np.ndarray, "users users"]:
    """Return 1 for the nearest `near_share` of each user's others, and 0 for the rest.

    Each row sums to the number of near users. If users at equal distance do not all fit, they get
    equal fractions.

    Raises:
        DataError: distances are not square, or have fewer than three users.
        SettingsError: `near_share` is not between 0 and 1.
    """
    n = len(distance)
    if distance.shape != (n, n) or n < 3:
        raise DataError(
            f"distances have shape {distance.shape}; give a square matrix of three users or more"
        )
    if not 0 < near_share < 1:
        raise SettingsError(f"near_share is {near_share}; it must be between 0 and 1")
    weights = np.zeros((n, n))
    for user, row in enumerate(distance):
        others = np.delete(row, user)
        inverse, n_equal = np.unique(others, return_inverse=True, return_counts=True)[1:]
        n_nearer = np.cumsum(n_equal) - n_equal
        fractions = np.clip((near_share * (n - 1) - n_nearer) / n_equal, 0, 1)[inverse]
        weights[user] = np.insert(fractions, user, 0)
    return weights
