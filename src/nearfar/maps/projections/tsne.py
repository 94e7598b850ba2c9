"""t-SNE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from jaxtyping import Float

from nearfar.core.extras import require
from nearfar.core.ranges import PositiveInt
from nearfar.core.seeding import derive
from nearfar.maps.projections.pca import reduction
from nearfar.maps.projections.projection import Projected, Projection

MANY_POINTS = 20_000
"""From this many points on, t-SNE uses two threads and fewer trees, which find 87 of 100
neighbours instead of 97. Coordinates depend on the number of threads, so that this must not depend
on the machine."""

THREADS_FOR_MANY = 2
TREES_FOR_MANY = 20


@dataclass(frozen=True)
class TSNE(Projection):
    """t-distributed stochastic neighbour embedding, which keeps near points near.

    Distances between groups and the sizes of groups mean little on such a map.

    Source: van der Maaten and Hinton 2008, Visualizing Data using t-SNE, computed by openTSNE
    (Poličar et al. 2024): gradients by Barnes-Hut up to 10,000 points and by interpolation (FFT)
    above, neighbours exactly up to 1,000 points and by Annoy above.
    Differs: the paper does not name its perplexity. New points are placed by openTSNE's partial
    embedding, from their neighbours among the points of the map.

    Args:
        perplexity: about the number of neighbours that count; at most a third of the points.
        iterations: iterations after the 250 of early exaggeration.
        dimensions: number of principal components in which neighbours are searched.
    """

    perplexity: PositiveInt = 30
    iterations: PositiveInt = 500
    dimensions: Annotated[int, Ge(2)] = 50

    label = "t-SNE"

    def check_installed(self) -> None:
        require("openTSNE", "sklearn", extra="maps", purpose="a latent map")

    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        from openTSNE import TSNE as OpenTSNE  # noqa: N811

        reduce = reduction(points, self.dimensions)
        many = len(points) >= MANY_POINTS
        perplexity = max(1, min(self.perplexity, (len(points) - 2) // 3))
        embedding = OpenTSNE(
            perplexity=perplexity,
            n_iter=self.iterations,
            initialization="pca",
            n_jobs=THREADS_FOR_MANY if many else 1,
            knn_kwargs={"n_trees": TREES_FOR_MANY} if many else None,
            random_state=derive(seed, "maps", "t-SNE") % 2**32,
        ).fit(reduce(points))
        # transform() centres the embedding in place; return coordinates as before that.
        xy = np.array(embedding)

        def transform(
            new_points: Float[np.ndarray, "points latent"],
        ) -> Float[np.ndarray, "points 2"]:
            placed = np.array(embedding.transform(reduce(new_points)))
            return placed + (xy - np.array(embedding)).mean(axis=0)

        return Projected(xy, transform)
