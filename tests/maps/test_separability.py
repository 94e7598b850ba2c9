"""Separability on cohorts whose answer is known, and by the definitions written out."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.maps.separability import (
    cohort_distances,
    knn_purity,
    separability,
    silhouette,
    trustworthiness,
)
from tests.maps.cases import blobs


def distances(points: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - points) ** 2).sum(axis=2))


def test_cohorts_far_apart() -> None:
    points, labels = blobs(1000)
    assert silhouette(points, labels)["mean"] > 0.99
    purity = knn_purity(points, labels)
    assert purity["mean"] == 1
    assert purity["chance"] == pytest.approx(39 / 119)


def test_cohorts_of_one_distribution() -> None:
    points, labels = blobs(0, n=300)
    found = silhouette(points, labels)
    assert abs(found["mean"]) < 0.02
    purity = knn_purity(points, labels)
    assert purity["mean"] == pytest.approx(purity["chance"], abs=0.02)
    assert purity["low"] < purity["mean"] < purity["high"]


def test_identical_points_are_no_structure() -> None:
    labels = np.tile([0, 1], 30)
    points = np.ones((60, 3))
    assert silhouette(points, labels)["mean"] == 0
    assert 0.2 < knn_purity(points, labels)["mean"] < 0.8


def test_silhouette_is_rousseeuws() -> None:
    points, labels = blobs(2, n=15)
    away = distances(points)
    values = []
    for i in range(len(points)):
        mean_to = [away[i, (labels == c) & (np.arange(len(points)) != i)].mean() for c in range(3)]
        a, b = mean_to[labels[i]], min(np.delete(mean_to, labels[i]))
        values.append((b - a) / max(a, b))
    found = silhouette(points, labels)
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
    assert found["n_sampled"] == 45
    half = 2.0154 * np.std(values, ddof=1) / np.sqrt(45)  # Student's t, 44 degrees of freedom
    assert found["high"] - found["mean"] == pytest.approx(half, rel=1e-4)


def test_purity_counts_the_nearest_others() -> None:
    points, labels = blobs(2, n=15)
    away = distances(points)
    np.fill_diagonal(away, np.inf)
    nearest = np.argsort(away, axis=1)[:, :7]
    expected = (labels[nearest] == labels[:, None]).mean()
    assert knn_purity(points, labels, k=7)["mean"] == pytest.approx(expected, abs=1e-12)


def test_purity_of_twins_leaves_out_oneself() -> None:
    """Each point has two twins of its own cohort, so that itself need not come first."""
    points = np.repeat(np.arange(8.0), 3)[:, None]
    labels = np.repeat(np.arange(8), 3)
    assert knn_purity(points, labels, k=2)["mean"] == 1


def test_trustworthiness_is_venna_and_kaskis() -> None:
    points, _ = blobs(1, n=12)
    xy = np.random.default_rng(1).standard_normal((len(points), 2))
    n, k = len(points), 5
    ranks = np.argsort(np.argsort(distances(points), axis=1), axis=1)
    seen = np.argsort(distances(xy), axis=1)[:, 1 : k + 1]
    penalty = sum(max(0, ranks[i, j] - k) for i in range(n) for j in seen[i])
    expected = 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty
    assert trustworthiness(points, xy, k=k)["value"] == pytest.approx(expected, abs=1e-12)
    assert trustworthiness(points[:, :2], points[:, :2])["value"] == 1


def test_samples_stand_for_all_and_are_fixed_by_the_seed() -> None:
    points, labels = blobs(3, n=400)
    whole = silhouette(points, labels)
    part = silhouette(points, labels, sample=300, seed=1)
    assert part["n_sampled"] == 300
    assert part["mean"] == pytest.approx(whole["mean"], abs=0.05)
    assert part == silhouette(points, labels, sample=300, seed=1)
    assert part != silhouette(points, labels, sample=300, seed=2)
    asked = knn_purity(points, labels, sample=300, seed=1)
    # few are asked, but all are neighbours: a purity among 300 would be another
    assert asked["mean"] == pytest.approx(knn_purity(points, labels)["mean"], abs=0.03)
    assert asked["n_sampled"] == 300


def test_a_sample_of_one_cohort_has_no_silhouette() -> None:
    points, labels = blobs(3, n=400)
    labels = np.where(np.arange(1200) < 2, 1, 0)
    assert silhouette(points, labels, sample=5)["mean"] is None


def test_distances_and_their_order() -> None:
    points = np.array([[0.0, 0], [2, 0], [9, 0], [11, 0], [5, 0], [7, 0]])
    labels = np.array([0, 0, 1, 1, 2, 2])
    histories = csr_array(
        np.array(
            [
                [1, 0, 0, 0, 0],
                [0, 1, 0, 0, 0],
                [1, 1, 0, 0, 0],
                [0, 0, 1, 1, 0],
                [1, 1, 1, 1, 1],
                [1, 1, 1, 1, 1],
            ],
            np.float32,
        )
    )
    found = cohort_distances(points, labels, histories, ("a", "b", "c"))
    by_pair = {tuple(p["between"]): p for p in found["pairs"]}
    assert {k: p["latent"] for k, p in by_pair.items()} == {
        ("a", "b"): 9, ("a", "c"): 5, ("b", "c"): 4,
    }  # fmt: skip
    dense = histories.toarray()
    for (a, b), pair in by_pair.items():
        pairs = [
            np.abs(dense[i] - dense[j]).sum()
            for i in np.flatnonzero(labels == "abc".index(a))
            for j in np.flatnonzero(labels == "abc".index(b))
        ]
        assert pair["input"] == pytest.approx(np.mean(pairs))
    assert found["spreads"] == {"a": 1, "b": 1, "c": 1}
    assert found["order"] == [["b", "c"], ["a", "c"], ["a", "b"]]
    # as in the paper's setting 1: the largest cohort lies nearer to the smallest
    assert found["by_size"] is False
    along = cohort_distances(
        points[:, ::-1] * 0 + labels[:, None], labels, histories, ("a", "b", "c")
    )
    assert along["by_size"] is True
    unordered = cohort_distances(points, labels, histories, ("a", "b", "c"), ordered=False)
    assert unordered["by_size"] is None


def test_parts_of_different_users_are_refused() -> None:
    points, labels = blobs(1)
    with pytest.raises(DataError, match="same users"):
        separability(points, labels, points[:, :2], csr_array((5, 3)), ("a", "b", "c"))
