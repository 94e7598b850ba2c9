"""UMAP."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Float

from nearfar.core.extras import require
from nearfar.core.ranges import NonNegativeFloat
from nearfar.core.seeding import derive
from nearfar.maps.projections.pca import reduction
from nearfar.maps.projections.projection import Projected, Projection


@dataclass(frozen=True)
class UMAP(Projection):
    """Uniform manifold approximation and projection.

    Source: McInnes, Healy and Melville 2018, UMAP, computed by umap-learn with one thread, since it
    is reproducible with one thread only. The first use compiles for about 20 seconds.

    Args:
        n_neighbors: number of neighbours that count; fewer than the points.
        min_dist: least distance of points on the map.
        dimensions: number of principal components in which neighbours are searched.
    """

    n_neighbors: Annotated[int, Ge(2)] = 15
    min_dist: NonNegativeFloat = 0.1
    dimensions: Annotated[int, Ge(2)] = 50

    label = "UMAP"

    def check_installed(self) -> None:
        require("umap", "sklearn", extra="umap", purpose="a map by UMAP")

    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        with warnings.catch_warnings():
            # umap-learn warns that TensorFlow is missing, which is not used here.
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

        def transform(
            new_points: Float[np.ndarray, "points latent"],
        ) -> Float[np.ndarray, "points 2"]:
            return np.asarray(fitted.transform(reduce(new_points)), np.float64)

        return Projected(np.asarray(fitted.embedding_, np.float64), transform)
