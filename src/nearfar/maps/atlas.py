"""Maps of the same users by several models, with measures of separability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.extras import require
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.maps.anchors import Anchors, place_anchors
from nearfar.maps.cohorts import Cohorts
from nearfar.maps.projections.projection import Projection
from nearfar.maps.separability import separability
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.model import LatentModel

BATCH_USERS = 4096
MIN_USERS = 10

BEHIND_FLOW = (
    "anchors are not drawn: PIA puts them among the means before the flow, and users are drawn "
    "where the flow takes them"
)


@dataclass(frozen=True)
class ModelToMap:
    """A model to map.

    Args:
        model: a model with a latent space.
        items: the items of its histories.
        ndcg: its NDCG@100, shown under the map.
    """

    model: LatentModel
    items: Vocabulary
    ndcg: float | None = None

    @classmethod
    def measured(cls, model: LatentModel, items: Vocabulary, test: FoldIn) -> ModelToMap:
        """Return a model with its NDCG@100 on these users."""
        return cls(model, items, evaluate(model, test, [NDCG(100)]).mean(NDCG(100)))

    @classmethod
    def of_bundle(cls, title: str, bundle: Bundle, test: FoldIn) -> ModelToMap:
        """Return a bundle's model with its NDCG@100 on these users.

        Raises:
            SettingsError: the model has no latent space.
        """
        if not isinstance(bundle.model, LatentModel):
            raise SettingsError(
                f"{title} is a bundle of {bundle.metadata.algorithm}, which has no latent space to "
                "map; give a bundle of an autoencoder, such as multvae"
            )
        return cls.measured(bundle.model, bundle.items, test)


@dataclass(frozen=True, eq=False)
class LatentMap:
    """The map of one model: its users in the plane.

    Args:
        title: name of the model.
        xy: position of each user.
        anchors: item anchors; None if not drawn.
        ndcg: NDCG@100; None if not measured.
        numbers: see `separability.separability`; also `anchors`, see `Anchors`, and
            `anchors_left_out`, why the model's anchors are not drawn; both may be None.
    """

    title: str
    xy: Float[np.ndarray, "users 2"]
    anchors: Anchors | None
    ndcg: float | None
    numbers: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-able values."""
        return {"NDCG@100": self.ndcg, **self.numbers}

    def caption_lines(self) -> list[str]:
        """Return the lines under the map: NDCG@100, then the separability of the cohorts."""
        silhouette = self.numbers["silhouette"]["mean"]
        purity = self.numbers["knn_purity"]
        lines = [] if self.ndcg is None else [f"NDCG@100 {self.ndcg:.4f}"]
        text = "no silhouette" if silhouette is None else f"silhouette {silhouette:.2f}"
        lines.append(f"{text}, purity {purity['mean']:.2f} (chance {purity['chance']:.2f})")
        return lines


@dataclass(frozen=True, eq=False)
class Atlas:
    """Maps of the same users, one per model.

    Args:
        users: the drawn users, in the order of the cohorts.
        cohorts: the cohort of each user.
        projection: the projection of the maps.
        seed: random seed.
        maps: one map per model.
    """

    users: Interactions
    cohorts: Cohorts
    projection: Projection
    seed: int
    maps: tuple[LatentMap, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return cohorts and numbers as JSON-able values, without coordinates."""
        return {
            "projection": self.projection.label,
            "seed": self.seed,
            "n_users": self.cohorts.n_users,
            "cohorts": self.cohorts.to_dict()["groups"],
            "notes": list(self.cohorts.notes),
            "panels": {m.title: m.to_dict() for m in self.maps},
        }

    def legend(self) -> list[str]:
        """Return one label per cohort: its name and the number of its users on the map."""
        return [f"{g['name']}: {g['n_drawn']:,} users" for g in self.cohorts.groups]


def make_atlas(
    models: Mapping[str, ModelToMap],
    everyone: Interactions,
    cohorts: Cohorts,
    projection: Projection,
    *,
    seed: int = 0,
    n_anchors: int = 0,
    on_map: Callable[[str], object] | None = None,
) -> Atlas:
    """Encode the whole histories of the cohorts by every model, project them and measure the maps.

    A user's position is the decoder's input for the clean history at test time: the mean mu of the
    posterior, through the flow if there is one. Each map is rotated, which keeps distances, so
    that the first cohort is to the left of the last.

    Args:
        models: title -> model to map.
        everyone: the users that the cohorts were drawn from.
        cohorts: the users to map.
        projection: projection from the latent space to the plane.
        seed: random seed of projections and samples.
        n_anchors: number of popular items whose anchors are drawn too, if a model has anchors.
        on_map: called with a title before its map is made.

    Raises:
        MissingExtraError: a needed library is missing.
        EmptyDataError: there are fewer than ten users to draw.
        DataError: a model has other items than those given with it.
        DivergedError: a model's latents are not finite.
    """
    projection.check_installed()
    require("sklearn", extra="maps", purpose="a latent map")
    if cohorts.n_users < MIN_USERS:
        raise EmptyDataError(
            f"the cohorts have {cohorts.n_users} users in all; a map needs {MIN_USERS}; choose "
            "other cohorts or more users"
        )
    users = everyone.take_users(cohorts.rows)
    maps = []
    for title, model in models.items():
        if on_map is not None:
            on_map(title)
        maps.append(_make_map(title, model, users, cohorts, projection, seed, n_anchors))
    return Atlas(users, cohorts, projection, seed, tuple(maps))


def _make_map(
    title: str,
    mapped: ModelToMap,
    users: Interactions,
    cohorts: Cohorts,
    projection: Projection,
    seed: int,
    n_anchors: int,
) -> LatentMap:
    if mapped.model.n_items != len(mapped.items):
        raise DataError(
            f"{title} is a model of {mapped.model.n_items} items, given with {len(mapped.items)}; "
            "give the items that it was trained on"
        )
    users_on_items = users.on_items(mapped.items)
    latents = encode(mapped.model, users_on_items.x)
    projected = projection.fit(latents, seed)
    rotation = _rotation(projected.xy, cohorts)
    xy = projected.xy @ rotation
    anchors = None
    fitted_anchors = mapped.model.anchors if isinstance(mapped.model, Autoencoder) else None
    latent_anchors = mapped.model.latent_anchors if isinstance(mapped.model, Autoencoder) else None
    if latent_anchors is not None and n_anchors:
        popular = np.argsort(-mapped.model.popularity, kind="stable")[:n_anchors]
        anchors = place_anchors(
            latent_anchors, popular, latents, projected, users_on_items.x, mapped.items
        )
        anchors = replace(anchors, xy=anchors.xy @ rotation)
    numbers = separability(
        latents, cohorts.labels, xy, users.x, cohorts.names, ordered=cohorts.ordered, seed=seed
    )
    numbers["anchors"] = None if anchors is None else anchors.numbers
    left_out = n_anchors and fitted_anchors is not None and latent_anchors is None
    numbers["anchors_left_out"] = BEHIND_FLOW if left_out else None
    return LatentMap(title, xy, anchors, mapped.ndcg, numbers)


def encode(model: LatentModel, histories: csr_array) -> Float[np.ndarray, "users latent"]:
    """Return each user's latent at test time, in batches; see `LatentModel.latents`."""
    parts = [
        model.latents(histories[start : start + BATCH_USERS]).numpy()
        for start in range(0, histories.shape[0], BATCH_USERS)
    ]
    return np.concatenate(parts).astype(np.float64)


def _rotation(xy: Float[np.ndarray, "users 2"], cohorts: Cohorts) -> Float[np.ndarray, "2 2"]:
    """Return the rotation that puts the first and the last cohort's means along the x axis."""
    first, last = (xy[cohorts.labels == c].mean(axis=0) for c in (0, len(cohorts.names) - 1))
    difference = last - first
    length = np.hypot(*difference)
    if length == 0:
        return np.eye(2)
    cos, sin = difference / length
    return np.array([[cos, -sin], [sin, cos]])
