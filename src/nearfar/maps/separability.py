"""Measure how well cohorts are separated in the latent space."""

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
"""Sample size of silhouette and trustworthiness, which compare all pairs of points."""


def silhouette(
    points: Float[np.ndarray, "points latent"],
    labels: Int[np.ndarray, " points"],
    *,
    sample: int = SAMPLE,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Any]:
    """Compute the mean silhouette, with Student's interval over the points.

    It is 1 if cohorts are far apart, 0 if they overlap, and below 0 if points are nearer to another
    cohort than to their own.

    Source: Rousseeuw 1987, (b - a) / max(a, b) with a the mean distance to the own cohort and b
    that to the nearest other one, by scikit-learn.
    Differs: more than `sample` points are sampled at random; if the sample has one cohort only, the
    silhouette is None.
    """
    from sklearn.metrics import silhouette_samples

    rows = _sample(len(points), sample, seed, "silhouette")
    present = np.unique(labels[rows])
    if len(present) < 2:
        return {"mean": None, "low": None, "high": None, "n_sampled": len(rows)}
    values = silhouette_samples(points[rows], np.searchsorted(present, labels[rows]))
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
    """Compute the share of a point's k nearest neighbours in its own cohort, and that by chance.

    By chance it is the share of the own cohort among the other points, (n_c - 1) / (n - 1),
    averaged over the points. Of more than `sample` points it averages over a sample, with
    neighbours among all points.
    """
    from sklearn.neighbors import NearestNeighbors

    n = points.shape[0]
    k = min(k, n - 1)
    sampled = _sample(n, sample, seed, "purity")
    search = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points)
    nearest = search.kneighbors(points[sampled], return_distance=False)
    # Duplicates of a point may replace it among its k + 1 nearest; then drop the farthest.
    is_neighbour = nearest != sampled[:, None]
    is_neighbour[is_neighbour.all(axis=1), -1] = False
    neighbours = nearest[is_neighbour].reshape(len(sampled), k)
    values = (labels[neighbours] == labels[sampled][:, None]).mean(axis=1)
    cohort_sizes = np.bincount(labels)
    chance = (cohort_sizes[labels] - 1).mean() / (n - 1)
    return {**_summary(values, level), "chance": float(chance), "k": k}


def trustworthiness(
    points: Float[np.ndarray, "points latent"],
    xy: Float[np.ndarray, "points 2"],
    *,
    k: int = N_NEIGHBORS,
    sample: int = SAMPLE,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure whether neighbours on the map are neighbours in the latent space.

    It is 1 if they all are, and about .5 for a random map. More than `sample` points are sampled at
    random.

    Source: Venna and Kaski 2001, by scikit-learn.
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
    """Compute the distances of each pair of cohorts, in the latent space and in the input.

    `latent` is the distance of the cohorts' means; `spreads` is the root mean squared distance of
    users from the mean of their cohort; `input` is the mean Hamming distance between users of the
    two cohorts. `order` and `input_order` list the pairs, the nearest first. `by_size` says whether
    the latent distances follow the sizes: no pair of cohorts is nearer than a pair between them in
    size. Section 4.2 of the paper expects this (350 interactions nearer to 50 than to 5). It need
    not be the order of Hamming distances, which grow with the number of interactions.

    Args:
        points: latents of the users.
        labels: cohort of each user.
        histories: histories of the users.
        names: names of the cohorts.
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
    """Return whether each pair of means is at least as far apart as any pair between them."""
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
    """Compute all measures of one map, as JSON-able values.

    Args:
        points: latents of the users.
        labels: cohort of each user.
        xy: position of each user on the map.
        histories: histories of the users.
        names: names of the cohorts.
        ordered: whether the cohorts are in order of size.
        seed: random seed of the samples.

    Raises:
        DataError: the inputs have different numbers of users.
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
