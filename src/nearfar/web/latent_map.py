"""Makes the latent map: users of a split in two dimensions, to which users can be added."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from nearfar.data.interactions import Interactions
from nearfar.maps.anchors import place_anchors
from nearfar.maps.cohorts import cohorts_by_interactions
from nearfar.maps.projections.pca import PCA
from nearfar.maps.projections.projection import Transform
from nearfar.web.scorers.scorer import Scorer

ANCHORS = 100
USERS = 1500
SIZES = (5, 50, 350)
DECIMALS = 4
SEED = 0


@dataclass(frozen=True, eq=False)
class ServedMap:
    """A latent map as responses show it, and the projection for further points.

    Args:
        content: cohorts with the coordinates of their users, and anchors.
        transform: maps latents to the two coordinates.
    """

    content: dict[str, Any]
    transform: Transform

    def point(self, scorer: Scorer, history: csr_array) -> tuple[float, float]:
        """Return the coordinates of a user with this history."""
        x, y = self.transform(scorer.latents(history).astype(np.float64))[0]
        return float(x), float(y)


def make_map(scorer: Scorer, users: Interactions) -> ServedMap:
    """Return the map of users by principal components, which are linear, so points can be added.

    Cohorts have about 5, 50 and 350 interactions, as in `nearfar map`. If the users' numbers of
    interactions do not span this range, cohorts have 1/4, 1 and 4 times the median.

    Args:
        scorer: a scorer with the ability "latent".
        users: full histories, over any items.

    Raises:
        EmptyDataError: the users are too few, or their numbers of interactions too similar.
    """
    counts = np.diff(users.x.indptr)
    cohorts_of = partial(cohorts_by_interactions, counts, max_users=USERS, seed=SEED)
    median = max(4, int(np.median(counts))) if len(counts) else 4
    fits = (counts <= 10).any() and (counts >= 200).any()
    cohorts = cohorts_of(SIZES if fits else (median // 4, median, 4 * median))
    sample = users.take_users(cohorts.rows).on_items(scorer.items)
    latents = scorer.latents(sample.x).astype(np.float64)
    projected = PCA().fit(latents, SEED)
    xy = projected.xy.round(DECIMALS)
    groups = [
        {"name": name, "n_users": int((cohorts.labels == number).sum()),
         **_columns(xy[cohorts.labels == number])}
        for number, name in enumerate(cohorts.names)
    ]  # fmt: skip
    anchors: list[dict[str, Any]] = []
    if scorer.anchors is not None:
        popular = np.argsort(-scorer.popularity, kind="stable")[:ANCHORS]
        placed = place_anchors(scorer.anchors, popular, latents, projected, sample.x, scorer.items)
        anchors = [
            {"position": int(p), "x": float(x), "y": float(y)}
            for p, (x, y) in zip(popular, placed.xy.round(DECIMALS), strict=True)
        ]
    content = {
        "projection": PCA.label, "notes": list(cohorts.notes), "cohorts": groups,
        "anchors": anchors,
    }  # fmt: skip
    return ServedMap(content, projected.transform)


def _columns(xy: Float[np.ndarray, "users 2"]) -> dict[str, list[float]]:
    return {"x": xy[:, 0].tolist(), "y": xy[:, 1].tolist()}
