"""Maps of the same users by several models, and the numbers beside them."""

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

ENCODED_AT_ONCE = 4096
MIN_USERS = 10

BEHIND_FLOW = (
    "anchors are not drawn: PIA puts them among the means before the flow, and users are drawn "
    "where the flow takes them"
)


@dataclass(frozen=True)
class ModelToMap:
    """A model to be mapped.

    Args:
        model: with a latent space.
        items: what its histories are over.
        ndcg: its NDCG@100, to stand under the map.
    """

    model: LatentModel
    items: Vocabulary
    ndcg: float | None = None

    @classmethod
    def measured(cls, model: LatentModel, items: Vocabulary, test: FoldIn) -> ModelToMap:
        """A model with its NDCG@100 on these users."""
        return cls(model, items, evaluate(model, test, [NDCG(100)]).mean(NDCG(100)))

    @classmethod
    def of_bundle(cls, title: str, bundle: Bundle, test: FoldIn) -> ModelToMap:
        """A bundle's model with its NDCG@100 on these users.

        Raises:
            SettingsError: the model has no latent space.
        """
        if not isinstance(bundle.model, LatentModel):
            raise SettingsError(
                f"{title} is a bundle of {bundle.about.algorithm}, which has no latent space to "
                "map; give one of an autoencoder, as multvae"
            )
        return cls.measured(bundle.model, bundle.items, test)


@dataclass(frozen=True, eq=False)
class LatentMap:
    """Users in the plane, as one model sees them.

    Args:
        title: what the model is called.
        xy: where each user is.
        anchors: item anchors, where the model was trained with them.
        ndcg: NDCG@100, where it was measured.
        numbers: see `separability.separability`; and `anchors`, see `Anchors`, or None;
            `anchors_left_out`, why those that the model has are not drawn, or None.
    """

    title: str
    xy: Float[np.ndarray, "users 2"]
    anchors: Anchors | None
    ndcg: float | None
    numbers: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The numbers, JSON-able."""
        return {"NDCG@100": self.ndcg, **self.numbers}

    def told(self) -> list[str]:
        """The lines under a map: NDCG@100, then how far the cohorts are apart."""
        silhouette = self.numbers["silhouette"]["mean"]
        purity = self.numbers["knn_purity"]
        lines = [] if self.ndcg is None else [f"NDCG@100 {self.ndcg:.4f}"]
        apart = "no silhouette" if silhouette is None else f"silhouette {silhouette:.2f}"
        lines.append(f"{apart}, purity {purity['mean']:.2f} (chance {purity['chance']:.2f})")
        return lines


@dataclass(frozen=True, eq=False)
class Atlas:
    """Maps of the same users, one per model.

    Args:
        users: those that are drawn, in the order of the cohorts.
        cohorts: which is in which group.
        projection: how the maps were made.
        seed: of all that was random.
        maps: in the order of the models.
    """

    users: Interactions
    cohorts: Cohorts
    projection: Projection
    seed: int
    maps: tuple[LatentMap, ...]

    def to_dict(self) -> dict[str, Any]:
        """Cohorts and numbers, JSON-able; no coordinates."""
        return {
            "projection": self.projection.label,
            "seed": self.seed,
            "n_users": self.cohorts.n_users,
            "cohorts": self.cohorts.to_dict()["groups"],
            "notes": list(self.cohorts.notes),
            "panels": {m.title: m.to_dict() for m in self.maps},
        }

    def legend(self) -> list[str]:
        """A label a cohort: its name and how many of its users are drawn."""
        return [f"{g['name']}: {g['n_drawn']:,} users" for g in self.cohorts.about]


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
    """Encode the cohorts' whole histories with every model, project and measure.

    A user's place is the latent that the decoder is given for the clean history at test time: the
    mean mu of the posterior, through the flow where one follows. Each map is turned in the plane,
    which changes no distance, so that the first cohort lies left of the last.

    Args:
        models: what to map, by title.
        everyone: the users that the cohorts were chosen from.
        cohorts: which of them to draw.
        projection: from the latent space to the plane.
        seed: of projections and samples.
        n_anchors: the anchors of so many of the most popular items are drawn too, where a model
            has them.
        on_map: called with a title before its map is made.

    Raises:
        MissingExtraError: a library that it needs is missing.
        EmptyDataError: there are fewer than ten users to draw.
        DataError: a model is not of the items named with it.
        DivergedError: a model's latents are not finite.
    """
    projection.check_installed()
    require("sklearn", extra="maps", purpose="a latent map")
    if cohorts.n_users < MIN_USERS:
        raise EmptyDataError(
            f"the cohorts have {cohorts.n_users} users in all; a map needs {MIN_USERS}: choose "
            "other cohorts or more users"
        )
    users = everyone.take_users(cohorts.rows)
    maps = []
    for title, mapped in models.items():
        if on_map is not None:
            on_map(title)
        maps.append(_map(title, mapped, users, cohorts, projection, seed, n_anchors))
    return Atlas(users, cohorts, projection, seed, tuple(maps))


def _map(
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
            f"{title} is a model of {mapped.model.n_items} items, given with {len(mapped.items)}"
        )
    seen = users.on_items(mapped.items)
    latents = encoded(mapped.model, seen.x)
    projected = projection.fit(latents, seed)
    turn = _turn(projected.xy, cohorts)
    xy = projected.xy @ turn
    anchors = None
    fitted = mapped.model.anchors if isinstance(mapped.model, Autoencoder) else None
    where = mapped.model.latent_anchors if isinstance(mapped.model, Autoencoder) else None
    if where is not None and n_anchors:
        popular = np.argsort(-mapped.model.popularity, kind="stable")[:n_anchors]
        anchors = place_anchors(where, popular, latents, projected, seen.x, mapped.items)
        anchors = replace(anchors, xy=anchors.xy @ turn)
    numbers = separability(
        latents, cohorts.labels, xy, users.x, cohorts.names, ordered=cohorts.ordered, seed=seed
    )
    numbers["anchors"] = None if anchors is None else anchors.numbers
    left_out = n_anchors and fitted is not None and where is None
    numbers["anchors_left_out"] = BEHIND_FLOW if left_out else None
    return LatentMap(title, xy, anchors, mapped.ndcg, numbers)


def encoded(model: LatentModel, histories: csr_array) -> Float[np.ndarray, "users latent"]:
    """What stands for each user at test time, in batches; see `LatentModel.latents`."""
    parts = [
        model.latents(histories[start : start + ENCODED_AT_ONCE]).numpy()
        for start in range(0, histories.shape[0], ENCODED_AT_ONCE)
    ]
    return np.concatenate(parts).astype(np.float64)


def _turn(xy: Float[np.ndarray, "users 2"], cohorts: Cohorts) -> Float[np.ndarray, "2 2"]:
    """The rotation that lays the way from the first cohort's mean to the last's along x."""
    first, last = (xy[cohorts.labels == c].mean(axis=0) for c in (0, len(cohorts.names) - 1))
    way = last - first
    length = np.hypot(*way)
    if length == 0:
        return np.eye(2)
    cos, sin = way / length
    return np.array([[cos, -sin], [sin, cos]])
