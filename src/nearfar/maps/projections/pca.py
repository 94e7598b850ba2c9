"""Principal components."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nearfar.core.extras import require
from nearfar.maps.projections.projection import Projected, Projection

Reduce = Callable[[Float[np.ndarray, "points latent"]], Float[np.ndarray, "points reduced"]]


@dataclass(frozen=True)
class PCA(Projection):
    """Projection to the two directions of greatest variance; linear, fast, keeps far points far."""

    label = "PCA"

    def check_installed(self) -> None:
        require("sklearn", extra="maps", purpose="a latent map")

    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        transform = reduction(points, 2)
        return Projected(transform(points), transform)


def reduction(points: Float[np.ndarray, "points latent"], n: int) -> Reduce:
    """Return the map to the n leading principal components of the points; exact, deterministic.

    If the space has fewer dimensions it returns all of them, padded with 0 to at least two.
    """
    from sklearn.decomposition import PCA as Decomposition  # noqa: N811

    fitted = Decomposition(min(n, *points.shape), svd_solver="covariance_eigh").fit(points)

    def reduce(
        new_points: Float[np.ndarray, "points latent"],
    ) -> Float[np.ndarray, "points reduced"]:
        reduced = fitted.transform(new_points)
        return np.pad(reduced, ((0, 0), (0, max(0, 2 - reduced.shape[1]))))

    return reduce
