"""Wasserstein distances between posteriors (Eq. 18), against optimal transport on samples."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from nearfar.core.errors import DataError
from nearfar.theory.transport import empirical_w1, sampled_w1, w2
from nearfar.vae.posterior import DiagonalGaussian
from tests.theory.distances import mean_distance, pairwise_mean_distance, pairwise_w2

SEEDS = st.integers(0, 10_000)


def posteriors(seed: int, n_users: int, n_latent: int) -> DiagonalGaussian:
    rng = torch.Generator().manual_seed(seed)
    mu, logvar = torch.randn(2, n_users, n_latent, generator=rng, dtype=torch.float64)
    return DiagonalGaussian(mu, logvar)


def one(mu: float, sigma: float) -> DiagonalGaussian:
    return DiagonalGaussian(
        torch.full((1, 1), mu, dtype=torch.float64),
        torch.full((1, 1), 2 * np.log(sigma), dtype=torch.float64),
    )


@given(SEEDS, st.integers(1, 6))
def test_eq_18_w2_is_that_of_covariance_matrices(seed: int, n_latent: int) -> None:
    """tr(S + S' - 2 (S S')^(1/2)) of commuting covariances."""
    q, p = posteriors(seed, 4, n_latent), posteriors(seed + 1, 4, n_latent)
    for user in range(4):
        s, t = q.variance[user].diag(), p.variance[user].diag()
        cross = (s @ t).sqrt()
        bures = (s + t - 2 * cross).trace()
        expected = ((q.mu[user] - p.mu[user]).square().sum() + bures).sqrt()
        assert w2(q, p)[user] == pytest.approx(float(expected))


@given(SEEDS)
def test_assignment_is_scipys_distance_in_one_dimension(seed: int) -> None:
    first, second = np.random.default_rng(seed).standard_normal((2, 30, 1)) * [[[1]], [[3]]]
    expected = stats.wasserstein_distance(first[:, 0], second[:, 0])
    assert empirical_w1(first, second) == pytest.approx(expected)


def test_assignment_is_scipys_distance_in_many_dimensions() -> None:
    first, second = np.random.default_rng(3).standard_normal((2, 12, 3))
    expected = stats.wasserstein_distance_nd(first, second + 1)
    assert empirical_w1(first, second + 1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("mu", "sigma"), [(0.0, 2.0), (1.0, 0.5), (3.0, 1.0), (0.3, 1.5)])
def test_samples_approach_the_integral_in_one_dimension(mu: float, sigma: float) -> None:
    """W1 on the line is the integral of |F - F'|; in one dimension the bias is small."""
    exact = quad(
        lambda z: abs(stats.norm.cdf(z) - stats.norm.cdf(z, mu, sigma)), -12, 15, limit=200
    )[0]
    q, p = one(0, 1), one(mu, sigma)
    assert sampled_w1(q, p, 500, seed=1)[0] == pytest.approx(exact, rel=0.15)
    assert mean_distance(q, p)[0] <= exact + 1e-9
    assert exact <= w2(q, p)[0] + 1e-9


@given(SEEDS, st.integers(1, 5))
def test_same_variance_is_a_translation(seed: int, n_latent: int) -> None:
    """All of them are exact where the posteriors differ in the mean only."""
    q = posteriors(seed, 3, n_latent)
    p = DiagonalGaussian(posteriors(seed + 1, 3, n_latent).mu, q.logvar)
    exact = (q.mu - p.mu).norm(dim=1).numpy()
    np.testing.assert_allclose(w2(q, p), exact)
    np.testing.assert_allclose(mean_distance(q, p), exact)
    np.testing.assert_allclose(sampled_w1(q, p, 20), exact)


@given(SEEDS, st.integers(1, 5))
def test_bounds_hold_within_the_error_of_the_samples(seed: int, n_latent: int) -> None:
    n = 60
    q, p = posteriors(seed, 2, n_latent), posteriors(seed + 1, 2, n_latent)
    estimate = sampled_w1(q, p, n, seed=seed)
    spread = (q.variance.sqrt() - p.variance.sqrt()).norm(dim=1).numpy()
    error = 5 * spread / np.sqrt(n)  # of the mean of |mu - mu' + (sigma - sigma') eps|
    assert (mean_distance(q, p) <= estimate + error).all()
    assert (estimate <= w2(q, p) + error).all()


@given(SEEDS)
def test_symmetric_and_zero_on_itself(seed: int) -> None:
    q, p = posteriors(seed, 3, 4), posteriors(seed + 1, 3, 4)
    for distance in (w2, mean_distance, partial(sampled_w1, n_samples=20)):
        np.testing.assert_allclose(distance(q, p), distance(p, q))
        np.testing.assert_array_equal(distance(q, q), 0)
        assert (distance(q, p) > 0).all()


@given(SEEDS, st.floats(0, 1e4))
def test_all_pairs_are_pair_by_pair(seed: int, shift: float) -> None:
    """Also far from the origin, where Gram products cancel."""
    n = 5
    q, p = posteriors(seed, n, 3), posteriors(seed + 1, 4, 3)
    q = DiagonalGaussian(q.mu + shift, q.logvar)
    p = DiagonalGaussian(p.mu + shift, p.logvar)
    for pairwise, distance in ((pairwise_w2, w2), (pairwise_mean_distance, mean_distance)):
        found, own = pairwise(q, p, batch_size=2), pairwise(q, batch_size=2)
        assert found.shape == (n, 4)
        for v in range(4):
            same = DiagonalGaussian(p.mu[v].expand(n, -1), p.logvar[v].expand(n, -1))
            np.testing.assert_allclose(found[:, v], distance(q, same), atol=1e-6)
        for v in range(n):
            same = DiagonalGaussian(q.mu[v].expand(n, -1), q.logvar[v].expand(n, -1))
            np.testing.assert_allclose(own[:, v], distance(q, same), atol=1e-6)
        np.testing.assert_array_equal(own.diagonal(), 0)
        np.testing.assert_allclose(own, own.T, atol=1e-6)


def test_points_and_single_precision() -> None:
    """An encoder without variance gives points; their W1 and W2 are the distance."""
    mu = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    q = DiagonalGaussian(mu, torch.full_like(mu, -torch.inf))
    np.testing.assert_allclose(pairwise_w2(q), [[0, 5], [5, 0]])
    assert w2(q, q).dtype == np.float64


def test_what_does_not_match_is_refused() -> None:
    q, p = posteriors(0, 3, 4), posteriors(0, 3, 5)
    for distance in (w2, sampled_w1):
        with pytest.raises(DataError, match=r"\(3, 4\) and \(3, 5\)"):
            distance(q, p)
    with pytest.raises(DataError, match="equally many"):
        empirical_w1(np.zeros((3, 2)), np.zeros((4, 2)))


@pytest.mark.parametrize("scale", [1.0, 4.0, 1e3])
def test_equal_posteriors_are_exactly_0_apart_and_near_ones_exactly_as_far(scale: float) -> None:
    rng = torch.Generator().manual_seed(855)
    mu = scale * torch.randn(12, 5, generator=rng)
    mu[7], mu[9] = mu[2], mu[3] + 1e-6 * scale
    q = DiagonalGaussian(mu, torch.zeros(12, 5))
    for others in (None, DiagonalGaussian(mu.clone(), torch.zeros(12, 5))):
        found = pairwise_w2(q, others)
        assert found[2, 7] == found[7, 2] == 0
        assert (np.diag(found) == 0).all()
        exact = w2(
            DiagonalGaussian(mu[3:4], torch.zeros(1, 5)),
            DiagonalGaussian(mu[9:10], torch.zeros(1, 5)),
        )
        np.testing.assert_allclose(found[3, 9], exact[0], rtol=1e-8)
