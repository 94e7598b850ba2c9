"""The paper's Figure 2: latents of a split's users by several models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Split, whole_histories
from nearfar.maps.atlas import ModelToMap, make_atlas
from nearfar.maps.cohorts import SIZES, cohorts_by_interactions
from nearfar.maps.drawing import check_drawable, draw
from nearfar.maps.projections.projection import find_projection
from nearfar.models.model import LatentModel

N_USERS = 3_000


def figure2(
    split: Split,
    fitted: Mapping[str, LatentModel],
    path: str | Path,
    *,
    seed: int = 0,
    cohort_sizes: Sequence[int] = SIZES,
    tolerance: float = 0.1,
    ndcg: Mapping[str, float] | None = None,
    projection: str = "tsne",
    max_users: int = N_USERS,
    n_anchors: int = 0,
    progress: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Draw the latents of users with about 5, 50 and 350 interactions, one panel a model.

    Source: Figure 2 and section 4.2.
    Differs: users are those of all parts of the split, with their whole histories; cohorts have
    a tolerance and are widened where they are small (see `cohorts_by_interactions`).

    Args:
        split: whose users are drawn.
        fitted: models over the split's items, by the title of their panel.
        path: the file, its format by the suffix (.png, .svg, .pdf, .html).
        seed: of the drawing of users, the projection and the samples.
        cohort_sizes: interactions of the cohorts.
        tolerance: how far from these a user may be, as a share.
        ndcg: NDCG@100 by title, to stand under the panels; by default measured on the test users.
        projection: "tsne", "pca", "umap" or a dotted path.
        max_users: no more than so many in all, drawn evenly from the cohorts.
        n_anchors: the anchors of so many of the most popular items are drawn too, where a model
            has them.
        progress: called with a title before its panel is made.

    Returns:
        JSON-able: "cohorts" and "notes" on how they were chosen; "panels" with, by title,
        "NDCG@100", "silhouette", "knn_purity", "trustworthiness" and "distances"; "projection",
        "seed", "n_users" and "figure", the file.

    Raises:
        SettingsError: nothing is fitted, or a setting is out of range.
        EmptyDataError: fewer than two cohorts have users.
        MissingExtraError: a library that it needs is missing.

    Examples:
        >>> found = nf.figure2(
        ...     split, {"Mult-VAE": vae}, "map.png", projection="pca", cohort_sizes=(6, 15)
        ... )
        >>> found["projection"], found["figure"]
        ('PCA', 'map.png')
    """
    path = Path(path)
    check_drawable(path)
    chosen = find_projection(projection)
    chosen.check_installed()
    if not fitted:
        raise SettingsError("there is no fitted model to draw")
    everyone = whole_histories(split)
    cohorts = cohorts_by_interactions(
        np.diff(everyone.x.indptr), cohort_sizes, tolerance=tolerance, max_users=max_users,
        seed=seed,
    )  # fmt: skip
    models = {
        title: ModelToMap.measured(model, split.train.item_ids, split.test)
        if ndcg is None
        else ModelToMap(model, split.train.item_ids, ndcg.get(title))
        for title, model in fitted.items()
    }
    atlas = make_atlas(
        models, everyone, cohorts, chosen, seed=seed, n_anchors=n_anchors, on_map=progress
    )
    draw(atlas, path)
    return {**atlas.to_dict(), "figure": path.name}
