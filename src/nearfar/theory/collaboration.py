"""Local and global collaboration: which users a user's first-order help comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.tenths import N_TENTHS


@dataclass(frozen=True, eq=False)
class Collaboration:
    """The shares of a user's first-order help that come from users near and far in input space.

    Help from v is max(0, <G_u, G_v>): the decrease of u's loss by one SGD step on v, to first
    order and per unit of step size. Harm is an increase. Near users are those with the most
    similar histories.

    Args:
        local: share of each user's help that near users give; NaN for users with no help.
        harm: each user's harm as a share of help and harm together.
        by_distance: mean share of help from each tenth of the other users, nearest first, over
            the users with any help.
        near_share: share of the other users that counts as near.
    """

    local: Float64[np.ndarray, " users"]
    harm: Float64[np.ndarray, " users"]
    by_distance: Float64[np.ndarray, " tenths"]
    near_share: float


def collaboration(
    products: Float64[np.ndarray, "users users"],
    distance: Float64[np.ndarray, "users users"],
    near_share: float = 0.1,
) -> Collaboration:
    """Compute the shares of help by distance of histories.

    Source: section 2, local and global collaboration; the split by ranks of distance is ours.

    Args:
        products: <G_u, G_v>, see `gradient_products`; the diagonal is ignored.
        distance: distance of histories, in any unit; users at equal distance share their help
            evenly.
        near_share: share of the other users that counts as near.

    Raises:
        DataError: the matrices are not square, differ in size or have fewer than three users.
        SettingsError: `near_share` is not between 0 and 1.
    """
    n = len(products)
    if products.shape != (n, n) or distance.shape != (n, n) or n < 3:
        raise DataError(
            f"products have shape {products.shape} and distances {distance.shape}; give two "
            "square matrices of the same users, at least three users"
        )
    if not 0 < near_share < 1:
        raise SettingsError(f"near_share is {near_share}; it must be between 0 and 1")
    others = ~np.eye(n, dtype=bool)
    help_by_rank = products[others].reshape(n, n - 1)
    order = np.argsort(distance[others].reshape(n, n - 1), axis=1, kind="stable")
    sorted_distance = np.take_along_axis(distance[others].reshape(n, n - 1), order, 1)
    help_by_rank = _averaged_over_ties(
        np.take_along_axis(np.maximum(help_by_rank, 0), order, 1), sorted_distance
    )
    total_help = help_by_rank.sum(1)
    harm = np.maximum(-products[others].reshape(n, n - 1), 0).sum(1)
    cumulative = np.concatenate([np.zeros((n, 1)), np.cumsum(help_by_rank, axis=1)], axis=1)

    def up_to(share: float) -> np.ndarray:
        """Return the help from the nearest `share` of the others, the last one in part."""
        position = share * (n - 1)
        whole = min(int(position), n - 2)
        return cumulative[:, whole] + (position - whole) * help_by_rank[:, whole]

    with np.errstate(invalid="ignore"):
        local = up_to(near_share) / total_help
        tenths = np.stack([up_to((t + 1) / N_TENTHS) - up_to(t / N_TENTHS)
                           for t in range(N_TENTHS)], 1)  # fmt: skip
        shares = tenths[total_help > 0] / total_help[total_help > 0, None]
        by_distance = shares.mean(0) if len(shares) else np.full(N_TENTHS, np.nan)
        return Collaboration(local, harm / (total_help + harm), by_distance, near_share)


def jaccard_distance(
    n_different: Int64[np.ndarray, "users others"], n_shared: Int64[np.ndarray, "users others"]
) -> Float64[np.ndarray, "users others"]:
    """Compute the share of two histories' items that only one of them has; 0 for two empty ones.

    Args:
        n_different: d, as returned by `pairwise_overlap`.
        n_shared: m, as returned by `pairwise_overlap`.

    Examples:
        >>> from nearfar.theory.collaboration import jaccard_distance
        >>> from nearfar.theory.masking import pairwise_overlap
        >>> float(jaccard_distance(*pairwise_overlap(split.test.fold_in.x)).diagonal().max())
        0.0
    """
    union = n_different + n_shared
    return np.divide(n_different, union, out=np.zeros(union.shape), where=union > 0)


def _averaged_over_ties(
    help_by_rank: Float64[np.ndarray, "users others"], distance: Float64[np.ndarray, "users others"]
) -> Float64[np.ndarray, "users others"]:
    """Replace the help of users at equal distance by its mean; each row is sorted by distance."""
    n, m = help_by_rank.shape
    starts = np.ones((n, m), dtype=bool)
    starts[:, 1:] = distance[:, 1:] != distance[:, :-1]
    group = np.cumsum(starts.ravel()) - 1
    mean = np.bincount(group, help_by_rank.ravel()) / np.bincount(group)
    return mean[group].reshape(n, m)
