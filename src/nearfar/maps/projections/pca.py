"""Principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from nearfar.maps.projections.projection import Projected, Projection
from nearfar.maps.requirements import check_installed

if TYPE_CHECKING:
    from sklearn import decomposition


@dataclass(frozen=True)
class PCA(Projection):
    """The two directions of greatest variance: linear, fast, far points stay far."""

    label = "PCA"

    def check_installed(self) -> None:
        check_installed("sklearn")

    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        reduced = components(points, 2)

        def place(more: Float[np.ndarray, "points latent"]) -> Float[np.ndarray, "points 2"]:
            return _two_columns(reduced.transform(more))

        return Projected(place(points), place)


def components(points: Float[np.ndarray, "points latent"], n: int) -> decomposition.PCA:
    """The leading principal components, at most n of them, exactly and without randomness."""
    from sklearn import decomposition

    n_components = min(n, *points.shape)
    return decomposition.PCA(n_components, svd_solver="covariance_eigh").fit(points)


def _two_columns(xy: Float[np.ndarray, "points axes"]) -> Float[np.ndarray, "points 2"]:
    """With a second axis of zeros where the latent space has one dimension."""
    return np.hstack([xy, np.zeros((len(xy), 2 - xy.shape[1]))])
