"""Local and global collaboration: whom the first-order help of a user comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from nearfar.core.errors import DataError, SettingsError


@dataclass(frozen=True, eq=False)
class Collaboration:
    """How much of the help that a user gets comes from input-near and from far users.

    Help from v is max(0, <G_u, G_v>), what one SGD step on v lowers u's loss by to first order,
    per step size; harm is what it raises it by. Near are the users with the most similar
    histories; far users who help are the far but related ones.

    Args:
        local: the share of all help that near users give, " users"; NaN where nobody helps.
        harm: the share of harm in all that others' steps do, help and harm.
        by_distance: the mean share of help that comes from each tenth of the others, nearest
            first, over the users whom anybody helps.
        near_share: the share of the others that counts as near.
    """

    local: Float64[np.ndarray, " users"]
    harm: Float64[np.ndarray, " users"]
    by_distance: Float64[np.ndarray, " tenths"]
    near_share: float


N_TENTHS = 10


def collaboration(
    products: Float64[np.ndarray, "users users"],
    distance: Float64[np.ndarray, "users users"],
    near_share: float = 0.1,
) -> Collaboration:
    """Shares of help by nearness of histories.

    Args:
        products: <G_u, G_v>, see `gradient_products`; the diagonal is left out.
        distance: between histories, in whatever unit; equal distances are shared evenly, by
            the mean over their ranks.
        near_share: which share of the others is near.

    Source: the local and global collaboration of section 2, made a number; the split by ranks
    of distance is ours.

    Raises:
        DataError: the two are not square, of the same users, or of fewer than three.
        SettingsError: `near_share` is not between 0 and 1.
    """
    n = len(products)
    if products.shape != (n, n) or distance.shape != (n, n) or n < 3:
        raise DataError(
            f"products have shape {products.shape} and distances {distance.shape}; give square "
            "ones of the same three users or more"
        )
    if not 0 < near_share < 1:
        raise SettingsError(f"near_share is {near_share}; it must be between 0 and 1")
    others = ~np.eye(n, dtype=bool)
    effect = products[others].reshape(n, n - 1)
    order = np.argsort(distance[others].reshape(n, n - 1), axis=1, kind="stable")
    apart = np.take_along_axis(distance[others].reshape(n, n - 1), order, 1)
    effect = _even_among_equals(np.take_along_axis(np.maximum(effect, 0), order, 1), apart)
    helped = effect.sum(1)
    harm = np.maximum(-products[others].reshape(n, n - 1), 0).sum(1)
    cumulative = np.concatenate([np.zeros((n, 1)), np.cumsum(effect, axis=1)], axis=1)

    def up_to(share: float) -> np.ndarray:
        """Help from the nearest `share` of the others, the last one in part."""
        position = share * (n - 1)
        whole = min(int(position), n - 2)
        return cumulative[:, whole] + (position - whole) * effect[:, whole]

    with np.errstate(invalid="ignore"):
        local = up_to(near_share) / helped
        tenths = np.stack([up_to((t + 1) / N_TENTHS) - up_to(t / N_TENTHS)
                           for t in range(N_TENTHS)], 1)  # fmt: skip
        shares = tenths[helped > 0] / helped[helped > 0, None]
        by_distance = shares.mean(0) if len(shares) else np.full(N_TENTHS, np.nan)
        return Collaboration(local, harm / (helped + harm), by_distance, near_share)


def jaccard_distance(
    n_different: Int64[np.ndarray, "users others"], n_shared: Int64[np.ndarray, "users others"]
) -> Float64[np.ndarray, "users others"]:
    """The share of two histories' items that only one of the two has; 0 for two empty ones.

    Args:
        n_different: d, as `pairwise_overlap` gives it.
        n_shared: m.

    Examples:
        >>> from nearfar.theory.collaboration import jaccard_distance
        >>> from nearfar.theory.masking import pairwise_overlap
        >>> float(jaccard_distance(*pairwise_overlap(split.test.fold_in.x)).diagonal().max())
        0.0
    """
    union = n_different + n_shared
    return np.divide(n_different, union, out=np.zeros(union.shape), where=union > 0)


def _even_among_equals(
    effect: Float64[np.ndarray, "users others"], distance: Float64[np.ndarray, "users others"]
) -> Float64[np.ndarray, "users others"]:
    """Effects with their mean in place of each, among others at one distance (in order)."""
    n, m = effect.shape
    starts = np.ones((n, m), dtype=bool)
    starts[:, 1:] = distance[:, 1:] != distance[:, :-1]
    group = np.cumsum(starts.ravel()) - 1
    mean = np.bincount(group, effect.ravel()) / np.bincount(group)
    return mean[group].reshape(n, m)
