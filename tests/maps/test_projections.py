"""What every projection must do, and what each is for."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from nearfar.core import discovery
from nearfar.core.errors import (
    DivergedError,
    MissingExtraError,
    SettingsError,
    UnknownNameError,
)
from nearfar.maps.projections.pca import PCA
from nearfar.maps.projections.projection import PACKAGE, Projection, find_projection
from nearfar.maps.projections.tsne import TSNE
from nearfar.maps.projections.umap import UMAP
from nearfar.maps.separability import silhouette
from tests.maps.cases import blobs

SLOW = {"umap"}  # compiles at its first use
EVERY = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in discovery.discover(PACKAGE, Projection)
]


def test_they_are_found_by_name() -> None:
    assert {"pca", "tsne", "umap"} <= set(discovery.discover(PACKAGE, Projection))
    assert find_projection("tsne") == TSNE()
    assert find_projection("nearfar.maps.projections.pca.PCA") == PCA()
    with pytest.raises(UnknownNameError, match="unknown projection 'tsn'; did you mean 'tsne'"):
        find_projection("tsn")


@pytest.mark.parametrize("name", EVERY)
def test_cohorts_that_are_apart_stay_apart(name) -> None:
    points, labels = blobs(12, n=30)
    projected = find_projection(name).fit(points, seed=0)
    assert projected.xy.shape == (90, 2)
    assert silhouette(projected.xy, labels)["mean"] > 0.6


@pytest.mark.parametrize("name", EVERY)
def test_the_seed_fixes_every_coordinate(name) -> None:
    points, _ = blobs(3, n=15)
    first, second = (find_projection(name).fit(points, seed=5) for _ in range(2))
    assert (first.xy == second.xy).all()
    more = points[:4] + 0.1
    assert (first.transform(more) == second.transform(more)).all()


@pytest.mark.parametrize("name", EVERY)
def test_placing_moves_nothing_and_puts_points_among_their_like(name) -> None:
    points, labels = blobs(12, n=30)
    projected = find_projection(name).fit(points, seed=0)
    before = projected.xy.copy()
    more, of = blobs(12, n=10, seed=9)
    placed = projected.transform(more)
    assert (projected.xy == before).all()
    means = np.stack([projected.xy[labels == c].mean(axis=0) for c in range(3)])
    nearest = np.linalg.norm(placed[:, None] - means, axis=2).argmin(axis=1)
    assert (nearest == of).mean() > 0.9


@pytest.mark.parametrize("name", EVERY)
def test_collapsed_latents_go_to_the_origin(name) -> None:
    projected = find_projection(name).fit(np.full((20, 4), 0.3), seed=0)
    assert (projected.xy == 0).all()
    assert projected.transform(np.ones((3, 4))).shape == (3, 2)


@pytest.mark.parametrize("name", EVERY)
def test_one_latent_dimension_and_few_points(name) -> None:
    points = np.linspace(0, 1, 12)[:, None] ** 2
    projected = find_projection(name).fit(points, seed=0)
    assert projected.xy.shape == (12, 2)
    assert np.isfinite(projected.xy).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_diverged_model_is_told(name) -> None:
    with pytest.raises(DivergedError):
        find_projection(name).fit(np.array([[np.nan, 1], [1, 2]]), seed=0)


@pytest.mark.slow
def test_two_threads_are_as_reproducible_as_one(monkeypatch) -> None:
    points, _ = blobs(3, n=400)
    monkeypatch.setattr("nearfar.maps.projections.tsne.MANY_POINTS", 1000)
    first, second = (TSNE(iterations=50).fit(points, seed=5).xy for _ in range(2))
    assert (first == second).all()
    monkeypatch.undo()
    assert (TSNE(iterations=50).fit(points, seed=5).xy != first).any()


def test_principal_components_are_the_widest_directions() -> None:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((500, 3)) * [10, 3, 0.1]
    turn = np.linalg.qr(rng.standard_normal((3, 3))).Q
    xy = PCA().fit(wide @ turn, seed=0).xy
    assert abs(np.corrcoef(xy[:, 0], wide[:, 0])[0, 1]) > 0.999
    assert abs(np.corrcoef(xy[:, 1], wide[:, 1])[0, 1]) > 0.999


@pytest.mark.parametrize(
    ("name", "missing", "told"),
    [
        ("pca", "sklearn", r"scikit-learn, .*'nearfar\[maps\]'"),
        ("tsne", "openTSNE", r"openTSNE, .*'nearfar\[maps\]'"),
        ("umap", "umap", r"umap-learn, .*'nearfar\[umap\]'"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(name, missing, told, monkeypatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "nearfar.core.extras.find_spec", lambda m: None if m == missing else real(m)
    )
    with pytest.raises(MissingExtraError, match=told):
        find_projection(name).check_installed()


def test_settings_out_of_range_are_refused() -> None:
    for wrong in (
        lambda: TSNE(perplexity=0),
        lambda: TSNE(iterations=0),
        lambda: TSNE(dimensions=1),
        lambda: UMAP(n_neighbors=1),
        lambda: UMAP(min_dist=-0.1),
        lambda: TSNE(perplexity="much"),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(SettingsError):
            wrong()
