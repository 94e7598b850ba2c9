"""How far cohorts are apart in the latent space, in numbers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.seeding import generator
from nearfar.evaluation.intervals import Interval, mean_interval

N_NEIGHBORS = 10
SAMPLE = 2000
"""Silhouette and trustworthiness compare all pairs of points; of more points a sample is taken."""


def silhouette(
    points: Float[np.ndarray, "points latent"],
    labels: Int[np.ndarray, " points"],
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """The mean silhouette: 1 where cohorts are far apart, 0 where they overlap, below 0 where
    points are nearer to another cohort than to their own.

    Source: Rousseeuw 1987, (b - a) / max(a, b) with a the mean distance to the own cohort and b
    that to the nearest other one, by scikit-learn; the interval is Student's over the points.
    Differs: of more than `sample` points, a random sample stands for all; where it has one
    cohort only, there is no silhouette (None).
    """
    from sklearn.metrics import silhouette_samples

    rows = _sample(len(points), sample, seed, "silhouette")
    found = np.unique(labels[rows])
    if len(found) < 2:
        return {"mean": None, "low": None, "high": None, "n_sampled": len(rows)}
    values = silhouette_samples(points[rows], np.searchsorted(found, labels[rows]))
    return _summary(np.asarray(values, np.float64), level)


def knn_purity(
    points: Float[np.ndarray, "points latent"] | csr_array,
    labels: Int[np.ndarray, " points"],
    *,
    k: int = N_NEIGHBORS,
    sample: int = SAMPLE,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """The share of a point's k nearest others that are of its own cohort, and that by chance.

    By chance it is the share of the own cohort among the other points, (n_c - 1) / (n - 1),
    averaged over the points. Of more than `sample` points only a sample is asked, but all are
    their neighbours.
    """
    from sklearn.neighbors import NearestNeighbors

    n = points.shape[0]
    k = min(k, n - 1)
    asked = _sample(n, sample, seed, "purity")
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points)
    found = search.kneighbors(points[asked], return_distance=False)
    # Twins of a point may stand before it or in its place; one entry goes in any case.
    other = found != asked[:, None]
    other[other.all(axis=1), -1] = False
    neighbours = found[other].reshape(len(asked), k)
    values = (labels[neighbours] == labels[asked][:, None]).mean(axis=1)
    of_cohort = np.bincount(labels)
    chance = (of_cohort[labels] - 1).mean() / (n - 1)
    return {**_summary(values, level), "chance": float(chance), "k": k}


def trustworthiness(
    points: Float[np.ndarray, "points latent"],
    xy: Float[np.ndarray, "points 2"],
    *,
    k: int = N_NEIGHBORS,
    sample: int = SAMPLE,
    seed: int = 0,
) -> dict[str, Any]:
    """How far neighbours on the map are neighbours in the latent space: 1 always, about .5 not.

    Source: Venna and Kaski 2001, by scikit-learn. Of more than `sample` points, the picture of a
    random sample among themselves.
    """
    from sklearn.manifold import trustworthiness as trust

    rows = _sample(len(points), sample, seed, "trustworthiness")
    k = max(1, min(k, (len(rows) - 1) // 2))
    value = trust(points[rows], xy[rows], n_neighbors=k)
    return {"value": float(value), "k": k, "n_sampled": len(rows)}


def cohort_distances(
    points: Float[np.ndarray, "points latent"],
    labels: Int[np.ndarray, " points"],
    histories: csr_array,
    names: tuple[str, ...],
    *,
    ordered: bool = True,
) -> dict[str, Any]:
    """How far each two cohorts are apart, in the latent space and in the input.

    `latent` is the distance of the cohorts' means, `spreads` the root mean squared distance of
    users from theirs, `input` the mean Hamming distance of a user of the one to a user of the
    other. `order` and `input_order` list the pairs, the nearest first. `by_size` says whether
    cohorts that are farther apart in size are so in the latent space: no pair is nearer than one
    that it encloses. That is what section 4.2 of the paper expects (350 interactions nearer to
    50 than to 5); it need not be the order of Hamming distances, which grow with the number of
    interactions.

    Args:
        points: the users' latents.
        labels: the cohort of each.
        histories: of the users.
        names: of the cohorts.
        ordered: whether the cohorts are in order of size; else `by_size` is None.
    """
    n = np.bincount(labels, minlength=len(names)).astype(np.float64)
    membership = csr_array((1 / n[labels], (labels, np.arange(len(labels)))))
    means = membership @ points
    shares = csr_array(membership @ histories).toarray()
    lengths = shares.sum(axis=1)
    squared = ((points - means[labels]) ** 2).sum(axis=1)
    pairs = []
    for a, b in combinations(range(len(names)), 2):
        pairs.append(
            {
                "between": [names[a], names[b]],
                "latent": float(np.linalg.norm(means[a] - means[b])),
                "input": float(lengths[a] + lengths[b] - 2 * shares[a] @ shares[b]),
            }
        )
    return {
        "pairs": pairs,
        "spreads": {
            name: float(np.sqrt(squared[labels == c].mean())) for c, name in enumerate(names)
        },
        "order": [p["between"] for p in sorted(pairs, key=lambda p: p["latent"])],
        "input_order": [p["between"] for p in sorted(pairs, key=lambda p: p["input"])],
        "by_size": _by_size(means) if ordered else None,
    }


def _by_size(means: Float[np.ndarray, "cohorts latent"]) -> bool:
    """Whether every pair of means is at least as far apart as any pair between them."""
    distances = np.linalg.norm(means[:, None] - means, axis=2)
    n = len(means)
    return all(
        distances[a, d] >= distances[b, c]
        for a in range(n) for b in range(a, n) for c in range(b, n) for d in range(c, n)
    )  # fmt: skip


def separability(
    points: Float[np.ndarray, "points latent"],
    labels: Int[np.ndarray, " points"],
    xy: Float[np.ndarray, "points 2"],
    histories: csr_array,
    names: tuple[str, ...],
    *,
    ordered: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """All numbers of one map, JSON-able.

    Args:
        points: the users' latents.
        labels: the cohort of each.
        xy: where each is on the map.
        histories: of the users.
        names: of the cohorts.
        ordered: whether these are in order of size.
        seed: of the samples.

    Raises:
        DataError: these are not of the same users.
    """
    if not len(points) == len(labels) == len(xy) == histories.shape[0]:
        raise DataError(
            f"{len(points)} latents, {len(labels)} labels, {len(xy)} places and "
            f"{histories.shape[0]} histories; they must be of the same users"
        )
    points = np.asarray(points, np.float64)
    return {
        "silhouette": silhouette(points, labels, seed=seed),
        "knn_purity": knn_purity(points, labels, seed=seed),
        "trustworthiness": trustworthiness(points, xy, seed=seed),
        "distances": cohort_distances(points, labels, histories, names, ordered=ordered),
    }


def _sample(n: int, sample: int, seed: int, name: str) -> Int[np.ndarray, " sampled"]:
    if n <= sample:
        return np.arange(n)
    return np.sort(generator(seed, "maps", name).choice(n, sample, replace=False))


def _summary(values: Float[np.ndarray, " points"], level: float) -> dict[str, Any]:
    interval: Interval | None = mean_interval(values, level)
    return {
        "mean": float(values.mean()),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "n_sampled": len(values),
    }
