"""The paper's Figure 2: maps of a split's users by several models."""

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
    """Draw the latents of users with about 5, 50 and 350 interactions, one panel per model.

    Source: Figure 2 and section 4.2.
    Differs: users are from all parts of the split, with their whole histories; cohorts have a
    tolerance and small cohorts are widened (see `cohorts_by_interactions`).

    Args:
        split: the split with the users to draw.
        fitted: title of the panel -> model over the split's items.
        path: the file to write, in the format of its suffix (.png, .svg, .pdf, .html).
        seed: random seed of the drawn users, the projection and the samples.
        cohort_sizes: numbers of interactions of the cohorts.
        tolerance: largest deviation from these sizes, as a share.
        ndcg: title -> NDCG@100 to show under the panel; by default measured on the test users.
        projection: "tsne", "pca", "umap" or a dotted path.
        max_users: most users in all, drawn evenly from the cohorts.
        n_anchors: number of popular items whose anchors are drawn too, if a model has anchors.
        progress: called with a title before its panel is made.

    Returns:
        A JSON-able mapping: "cohorts", and "notes" on how they were chosen; "panels" with
        "NDCG@100", "silhouette", "knn_purity", "trustworthiness" and "distances" by title;
        "projection", "seed", "n_users", and "figure", the name of the file.

    Raises:
        SettingsError: there is no fitted model, or a setting is out of range.
        EmptyDataError: fewer than two cohorts have users.
        MissingExtraError: a needed library is missing.

    Examples:
        >>> result = nf.figure2(
        ...     split, {"Mult-VAE": vae}, "map.png", projection="pca", cohort_sizes=(6, 15)
        ... )
        >>> result["projection"], result["figure"]
        ('PCA', 'map.png')
    """
    path = Path(path)
    check_drawable(path)
    projector = find_projection(projection)
    projector.check_installed()
    if not fitted:
        raise SettingsError("there is no fitted model to draw; give at least one")
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
        models, everyone, cohorts, projector, seed=seed, n_anchors=n_anchors, on_map=progress
    )
    draw(atlas, path)
    return {**atlas.to_dict(), "figure": path.name}
