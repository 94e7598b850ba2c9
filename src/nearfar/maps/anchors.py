"""Draw the item anchors of PIA on a map of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.vocabulary import Vocabulary
from nearfar.maps.projections.projection import Projected
from nearfar.maps.separability import N_NEIGHBORS


@dataclass(frozen=True, eq=False)
class Anchors:
    """Item anchors on a map, drawn by their direction.

    Anchors are much nearer to the origin than users: alignment pulls a user towards the mean of
    many anchors, and the likelihood pulls away from it. On a map of distances all anchors would be
    in one spot, among the users with the fewest interactions. So each anchor is scaled to the mean
    norm of the users before it is drawn.

    Args:
        xy: positions on the map.
        titles: titles of the items, the most popular first.
        numbers: JSON-able: `n`; `length` and `users_length`, the mean norms of anchors and users
            before scaling; `nearest_with_item`, the share of the `k` users nearest to a scaled
            anchor whose history has its item; `users_with_item`, the same share of all users.
    """

    xy: Float[np.ndarray, "anchors 2"]
    titles: tuple[str, ...]
    numbers: dict[str, Any]


def place_anchors(
    anchors: Float[np.ndarray, "items latent"],
    positions: Int[np.ndarray, " anchors"],
    latents: Float[np.ndarray, "users latent"],
    projected: Projected,
    histories: csr_array,
    items: Vocabulary,
) -> Anchors:
    """Place the anchors of the items at `positions` on the map of the users."""
    from sklearn.neighbors import NearestNeighbors

    selected = anchors[positions].astype(np.float64)
    lengths = np.linalg.norm(selected, axis=1)
    users_length = float(np.linalg.norm(latents, axis=1).mean())
    scaled = selected * (users_length / np.maximum(lengths, 1e-12))[:, None]
    k = min(N_NEIGHBORS, len(latents))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(latents)
    nearest = search.kneighbors(scaled, return_distance=False)
    has_item = csr_array(histories[:, positions]).toarray() > 0
    numbers = {
        "n": len(positions),
        "length": float(lengths.mean()),
        "users_length": users_length,
        "nearest_with_item": float(has_item[nearest, np.arange(len(positions))[:, None]].mean()),
        "users_with_item": float(has_item.mean()),
        "k": k,
    }
    return Anchors(projected.transform(scaled), tuple(item_names(items, positions)), numbers)


def item_names(items: Vocabulary, positions: Int[np.ndarray, " items"]) -> list[str]:
    """Return titles of items; the id of an item without a title."""
    selected = items.take(positions)
    titles = selected.titles
    if titles is None:
        return [str(i) for i in selected.ids]
    return [str(i if t is None else t) for i, t in zip(selected.ids, titles, strict=True)]
