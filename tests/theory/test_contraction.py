"""Propositions 3.1 and 3.2: the parts of alignment, and the contraction across masks."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.theory.contraction import (
    Contraction,
    alignment_parts,
    mask_covariance,
    mask_variability,
)
from nearfar.vae.posterior import DiagonalGaussian

SEEDS = st.integers(0, 10_000)
WEIGHTS = st.one_of(st.sampled_from([0.0, 1e-6, 1e6]), st.floats(0, 20))
SIZES = st.integers(1, 6)


def hessian_of(rng: np.random.Generator, k: int) -> np.ndarray:
    """Symmetric, with eigenvalues of very different size, and now and then flat directions."""
    rank = int(rng.integers(1, k + 1))
    root = rng.standard_normal((k, rank)) * 10 ** rng.uniform(-2, 1, rank)
    return root @ root.T


def quadratic(rng: np.random.Generator, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """H, the optima mu*(b) of a mask-dependent quadratic over all masks of 5 items, and c."""
    masks = np.array(list(product([0, 1], repeat=5)))
    return hessian_of(rng, k), masks @ rng.standard_normal((5, k)), rng.standard_normal(k)


def minimised(h: np.ndarray, mu: np.ndarray, centroid: np.ndarray, weight: float) -> np.ndarray:
    """The minimum of (1/2) (m - mu*)' H (m - mu*) + lambda ||m - c||^2, mask by mask.

    By Newton's method with derivatives from autograd: the objective itself, no formula of ours.
    """
    h_, star, c_ = torch.from_numpy(h), torch.from_numpy(mu), torch.from_numpy(centroid)
    start = torch.zeros_like(star, requires_grad=True)
    away = start - star
    loss = 0.5 * ((away @ h_) * away).sum() + weight * (start - c_).square().sum()
    (slope,) = torch.autograd.grad(loss, start, create_graph=True)
    rows = [torch.autograd.grad(s.sum(), start, retain_graph=True)[0] for s in slope.unbind(1)]
    newton = torch.linalg.solve(torch.stack(rows, 1), slope.detach())
    return (start - newton).detach().numpy()


@given(SEEDS, SIZES, st.floats(0.01, 20))
def test_measured_is_predicted_on_a_quadratic(seed: int, k: int, weight: float) -> None:
    h, mu, centroid = quadratic(np.random.default_rng(seed), k)
    theory = Contraction(h, weight)
    measured = minimised(h, mu, centroid, weight)
    np.testing.assert_allclose(theory.optimum(mu, centroid), measured, atol=1e-7)
    np.testing.assert_allclose(
        theory.covariance(mask_covariance(mu)), mask_covariance(measured), atol=1e-7
    )


@given(SEEDS, SIZES, WEIGHTS)
def test_proposition_3_2_bounds_are_never_violated(seed: int, k: int, weight: float) -> None:
    h, mu, centroid = quadratic(np.random.default_rng(seed), k)
    theory = Contraction(h, weight)
    without = mask_variability(mu, centroid)
    with_alignment = mask_variability(theory.optimum(mu, centroid), centroid)
    bound = theory.bound(without)
    for name in ("covariance_norm", "trace", "drift"):
        left, most = getattr(with_alignment, name), getattr(bound, name)
        assert left <= most * (1 + 1e-9) + 1e-12, name
        assert most <= getattr(without, name)


@given(SEEDS, SIZES, WEIGHTS)
def test_kappa_is_the_norm_of_the_matrix(seed: int, k: int, weight: float) -> None:
    h = hessian_of(np.random.default_rng(seed), k)
    theory = Contraction(h, weight)
    top = np.linalg.eigvalsh(h).max()
    assert theory.kappa == pytest.approx(top / (top + 2 * weight))
    assert np.linalg.norm(theory.matrix, 2) == pytest.approx(theory.kappa)
    if weight >= 1e-3:
        direct = np.linalg.solve(h + 2 * weight * np.eye(k), h)
        np.testing.assert_allclose(theory.matrix, direct, atol=1e-9)


@given(SEEDS, SIZES, WEIGHTS)
def test_proposition_3_2_loewner_order_where_the_covariance_commutes(
    seed: int, k: int, weight: float
) -> None:
    """Cov mu* - Cov mu_lambda has no negative eigenvalue if Cov and H have the same vectors."""
    rng = np.random.default_rng(seed)
    h = hessian_of(rng, k)
    vectors = np.linalg.eigh(h)[1]
    covariance = (vectors * rng.exponential(size=k)) @ vectors.T
    left = Contraction(h, weight).covariance(covariance)
    assert np.linalg.eigvalsh(covariance - left).min() >= -1e-10


def test_loewner_order_needs_commuting() -> None:
    """A counterexample without it, so that the test above tests the condition too."""
    h = np.diag([100.0, 1e-3])
    covariance = np.array([[1.0, 0.999], [0.999, 1.0]])
    left = Contraction(h, 1.0).covariance(covariance)
    assert np.linalg.eigvalsh(covariance - left).min() < -1e-3


@given(SEEDS)
def test_no_weight_changes_nothing_and_a_great_one_all(seed: int) -> None:
    h, mu, centroid = quadratic(np.random.default_rng(seed), 3)
    np.testing.assert_allclose(Contraction(h, 0.0).optimum(mu, centroid), mu, atol=1e-12)
    at_centroid = Contraction(h, 1e15).optimum(mu, centroid)
    np.testing.assert_allclose(at_centroid, np.tile(centroid, (len(mu), 1)), atol=1e-9)


def test_variability_is_its_definition() -> None:
    mu = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 4.0], [2.0, 4.0]])
    found = mask_variability(mu, np.zeros(2))
    assert found.covariance_norm == pytest.approx(4)
    assert found.trace == pytest.approx(5)
    assert found.drift == pytest.approx((0 + 2 + 4 + np.sqrt(20)) / 4)


@given(SEEDS, st.floats(0.05, 0.9))
def test_proposition_3_1_parts_sum_to_the_mean_squared_distance_to_anchors(
    seed: int, density: float
) -> None:
    """Eq. 9 = Eq. 10, by E ||z - e||^2 for every single item."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((5, 8)) < density).astype(np.float32)
    dense[0] = 0
    dense[1] = 0
    dense[1, 3] = 1  # one item: its anchor is the centroid
    mu, sigma, anchors = (rng.standard_normal(shape) for shape in ((5, 3), (5, 3), (8, 3)))
    q = DiagonalGaussian(torch.from_numpy(mu), torch.from_numpy(2 * np.log(np.abs(sigma))))
    parts = alignment_parts(q, torch.from_numpy(anchors), Rows.from_csr(csr_array(dense)))
    for user in range(5):
        own = anchors[dense[user] > 0]
        if not len(own):
            assert parts.total[user] == 0
            continue
        expected = np.square(mu[user] - own).sum(1).mean() + np.square(sigma[user]).sum()
        assert parts.total[user] == pytest.approx(expected)
        np.testing.assert_allclose(parts.centroids[user], own.mean(0))
        assert parts.squared_drift[user] == pytest.approx(np.square(mu[user] - own.mean(0)).sum())
        assert parts.trace[user] == pytest.approx(np.square(sigma[user]).sum())
    assert parts.spread[1] == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingsError, match="align_weight"):
        Contraction(np.eye(2), -1.0)
    with pytest.raises(DataError, match="square"):
        Contraction(np.ones((2, 3)), 1.0)
    with pytest.raises(DataError, match="symmetric"):
        Contraction(np.array([[1.0, 0.5], [0.0, 1.0]]), 1.0)
    with pytest.raises(DataError, match="eigenvalue -1"):
        Contraction(np.diag([1.0, -1.0]), 1.0)
    with pytest.raises(DataError, match="masks x latent"):
        mask_variability(np.zeros((3, 2)), np.zeros(3))
    q = DiagonalGaussian(torch.zeros(2, 3), torch.zeros(2, 3))
    rows = Rows.from_csr(csr_array(np.eye(2, 5, dtype=np.float32)))
    with pytest.raises(DataError, match="one posterior per user"):
        alignment_parts(q, torch.zeros(4, 3), rows)
