"""The latent map: users of a split in the plane, and where somebody new would be."""

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
    """A map, ready to be sent, and what places further points.

    Args:
        content: cohorts with the coordinates of their users, and anchors.
        transform: from the latent space to the plane.
    """

    content: dict[str, Any]
    transform: Transform

    def point(self, scorer: Scorer, history: csr_array) -> tuple[float, float]:
        """Where somebody of this history lies."""
        x, y = self.transform(scorer.latents(history).astype(np.float64))[0]
        return float(x), float(y)


def make_map(scorer: Scorer, users: Interactions) -> ServedMap:
    """The map of users by a model, by principal components: linear, so that points can be added.

    Cohorts are those of about 5, 50 and 350 interactions, as in `nearfar map`; where the users
    have no such numbers, of a quarter, once and four times the median.

    Args:
        scorer: with the ability "latent".
        users: whole histories, over any items.

    Raises:
        EmptyDataError: the users are too few or too much alike in number of interactions.
    """
    counts = np.diff(users.x.indptr)
    choose = partial(cohorts_by_interactions, counts, max_users=USERS, seed=SEED)
    median = max(4, int(np.median(counts))) if len(counts) else 4
    fits = (counts <= 10).any() and (counts >= 200).any()
    cohorts = choose(SIZES if fits else (median // 4, median, 4 * median))
    drawn = users.take_users(cohorts.rows)
    seen = drawn.on_items(scorer.items)
    latents = scorer.latents(seen.x).astype(np.float64)
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
        placed = place_anchors(scorer.anchors, popular, latents, projected, seen.x, scorer.items)
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
