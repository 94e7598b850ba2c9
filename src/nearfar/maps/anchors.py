"""Item anchors of PIA beside the users on a map."""

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
    """Item anchors on a map, by their direction.

    Anchors lie much nearer to the origin than users do, for a user is pulled towards the mean of
    many anchors and away from it by the likelihood. On a map of distances all would lie in one
    spot among the users of fewest interactions. So each is drawn where a user of the mean length
    would be that points the same way.

    Args:
        xy: where they are.
        titles: their items, the most popular first.
        numbers: JSON-able: `n`; `length` and `users_length`, the mean norms of anchors and users
            before scaling; `nearest_with_item`, the share of the `k` users nearest to a scaled
            anchor whose history has its item, and `users_with_item`, that of all users drawn.
    """

    xy: Float[np.ndarray, "anchors 2"]
    titles: tuple[str, ...]
    numbers: dict[str, Any]


def place_anchors(
    anchors: Float[np.ndarray, "items latent"],
    chosen: Int[np.ndarray, " anchors"],
    latents: Float[np.ndarray, "users latent"],
    projected: Projected,
    histories: csr_array,
    items: Vocabulary,
) -> Anchors:
    """The anchors of the items at `chosen` on the map of the users."""
    from sklearn.neighbors import NearestNeighbors

    picked = anchors[chosen].astype(np.float64)
    lengths = np.linalg.norm(picked, axis=1)
    users_length = float(np.linalg.norm(latents, axis=1).mean())
    scaled = picked * (users_length / np.maximum(lengths, 1e-12))[:, None]
    k = min(N_NEIGHBORS, len(latents))
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(latents)
    nearest = search.kneighbors(scaled, return_distance=False)
    has = csr_array(histories[:, chosen]).toarray() > 0
    numbers = {
        "n": len(chosen),
        "length": float(lengths.mean()),
        "users_length": users_length,
        "nearest_with_item": float(has[nearest, np.arange(len(chosen))[:, None]].mean()),
        "users_with_item": float(has.mean()),
        "k": k,
    }
    return Anchors(projected.transform(scaled), tuple(item_names(items, chosen)), numbers)


def item_names(items: Vocabulary, positions: Int[np.ndarray, " items"]) -> list[str]:
    """Titles of items, ids where there are none."""
    chosen = items.take(positions)
    titles = chosen.titles
    if titles is None:
        return [str(i) for i in chosen.ids]
    return [str(i if t is None else t) for i, t in zip(chosen.ids, titles, strict=True)]
