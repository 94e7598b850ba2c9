"""UMAP."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from nearfar.core.errors import SettingsError
from nearfar.core.seeding import derive
from nearfar.maps.projections.pca import reduction
from nearfar.maps.projections.projection import Projected, Projection
from nearfar.maps.requirements import check_installed


@dataclass(frozen=True)
class UMAP(Projection):
    """Uniform manifold approximation and projection.

    Source: McInnes, Healy and Melville 2018, UMAP, computed by umap-learn; one thread, for that
    library is reproducible with one only. Its first use compiles for some 20 seconds.

    Args:
        n_neighbors: neighbours that count; fewer than the points.
        min_dist: how close points may be drawn.
        dimensions: principal components that the neighbours are sought in.
    """

    n_neighbors: int = 15
    min_dist: float = 0.1
    dimensions: int = 50

    label = "UMAP"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_neighbors < 2 or self.min_dist < 0 or self.dimensions < 2:
            raise SettingsError(
                f"n_neighbors {self.n_neighbors}, min_dist {self.min_dist}, dimensions "
                f"{self.dimensions}: they must be at least 2, not negative and at least 2"
            )

    def check_installed(self) -> None:
        check_installed("umap", "sklearn", extra="umap", purpose="a map by UMAP")

    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        with warnings.catch_warnings():
            # It tells everybody that TensorFlow is missing, which nothing here would use.
            warnings.simplefilter("ignore", ImportWarning)
            from umap import UMAP as LearnedUMAP  # noqa: N811

        reduce = reduction(points, self.dimensions)
        fitted = LearnedUMAP(
            n_neighbors=min(self.n_neighbors, len(points) - 1),
            min_dist=self.min_dist,
            init="pca",
            n_jobs=1,
            random_state=derive(seed, "maps", "UMAP") % 2**32,
        ).fit(reduce(points))

        def place(more: Float[np.ndarray, "points latent"]) -> Float[np.ndarray, "points 2"]:
            return np.asarray(fitted.transform(reduce(more)), np.float64)

        return Projected(np.asarray(fitted.embedding_, np.float64), place)
