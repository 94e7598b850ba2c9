"""Theorem 2.5: the pairwise reconstruction gap and the transport bound."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import logsumexp, softmax
from scipy.stats import norm, wasserstein_distance

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.reconstruction_gap import (
    ReconstructionGap,
    jensen_gap,
    mean_transport_bound,
    reconstruction_gap,
    transport_bound,
)
from nearfar.vae.posterior import DiagonalGaussian


def gaussian(mu: list[float], sigma: float = 1.0) -> DiagonalGaussian:
    means = torch.tensor(mu, dtype=torch.float64)[:, None]
    return DiagonalGaussian(means, torch.full_like(means, 2 * math.log(sigma)))


def rows(*histories: list[int]) -> csr_array:
    return csr_array(np.array(histories, dtype=np.float32))


def counts(*n: int) -> torch.Tensor:
    return torch.tensor(n, dtype=torch.float64)


def negative_entropy(t: np.ndarray) -> float:
    return float(sum(v * math.log(v) for v in t if v > 0))


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_gap_is_its_definition(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.random((2, 9)) < 0.5).astype(float)
    x[:, seed % 9] = 1
    t_u, t_v = x / x.sum(1, keepdims=True)
    expected = (
        share * negative_entropy(t_u)
        + (1 - share) * negative_entropy(t_v)
        - negative_entropy(share * t_u + (1 - share) * t_v)
    )
    found = jensen_gap(
        torch.tensor([share], dtype=torch.float64),
        counts(int(x[0].sum())), counts(int(x[1].sum())), counts(int((x[0] * x[1]).sum())),
    )  # fmt: skip
    assert found.item() == pytest.approx(expected, abs=1e-12)
    assert found >= 0


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 50), st.floats(0, 1), st.floats(0, 1))
def test_the_gap_is_concave_in_the_share(n_u: int, n_v: int, m: int, a: float, b: float) -> None:
    """A* is convex, so that J, which subtracts it at the mixture, is concave, and 0 at the ends."""
    share = torch.tensor([[a], [b], [(a + b) / 2], [0.0], [1.0]], dtype=torch.float64)
    j = jensen_gap(share, counts(n_u), counts(n_v), counts(min(m, n_u, n_v)))[:, 0]
    assert j[2] >= (j[0] + j[1]) / 2 - 1e-12
    torch.testing.assert_close(j[3:], torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)


@given(st.integers(0, 10_000))
def test_the_conjugate_is_convex(seed: int) -> None:
    """J is convex in the pair (T_u, T_v), as the Jensen-Shannon divergence is."""
    rng = np.random.default_rng(seed)
    share = rng.random()

    def j(t_u: np.ndarray, t_v: np.ndarray) -> float:
        return (
            share * negative_entropy(t_u)
            + (1 - share) * negative_entropy(t_v)
            - negative_entropy(share * t_u + (1 - share) * t_v)
        )

    u1, v1, u2, v2 = rng.dirichlet(np.ones(5), size=4)
    assert j((u1 + u2) / 2, (v1 + v2) / 2) <= (j(u1, v1) + j(u2, v2)) / 2 + 1e-12


def gap(
    q_u: DiagonalGaussian, q_v: DiagonalGaussian, x_u: csr_array, x_v: csr_array, n: int = 50
) -> ReconstructionGap:
    return reconstruction_gap(
        q_u, q_v, x_u, x_v, n_samples=n, rng=torch.Generator().manual_seed(0)
    )  # fmt: skip


def test_limits() -> None:
    x_u = rows([1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0])
    x_v = rows([0, 0, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1])
    found = gap(gaussian([-60.0, 0.3, 0.3]), gaussian([60.0, 0.4, 0.3]), x_u, x_v)
    # Disjoint posteriors; equal statistics; equal posteriors without a common item.
    expected = torch.tensor([0, 0, 2 * math.log(2)], dtype=torch.float64)
    torch.testing.assert_close(found.nats, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(found.standard_error, 0 * expected, atol=1e-10, rtol=0)


def test_theorem_2_5_the_gap_is_what_minimising_over_natural_parameters_leaves() -> None:
    """On a grid of z, the loss of both users is minimised numerically, together and apart."""
    x = np.array([[1, 1, 1, 0], [0, 0, 1, 1]])
    t_u, t_v = x / x.sum(1, keepdims=True)
    grid, width = np.linspace(-5, 6.2, 29, retstep=True)
    left = 0.0
    for z in grid:
        w_u, w_v = (float(norm.pdf(z, mean, 1)) for mean in (0, 1.2))

        def least(a: float, b: float) -> float:
            def loss(eta: np.ndarray) -> tuple[float, np.ndarray]:
                t, mass = a * t_u + b * t_v, a + b
                return mass * logsumexp(eta) - t @ eta, mass * softmax(eta) - t

            return minimize(loss, np.zeros(4), jac=True, method="BFGS").fun

        total = w_u + w_v
        together = least(w_u / total, w_v / total)
        apart = (w_u * least(1, 0) + w_v * least(0, 1)) / total
        left += width * total * (together - apart)
    found = gap(gaussian([0.0]), gaussian([1.2]), csr_array(x[:1]), csr_array(x[1:]), n=2000)
    error = found.standard_error.item()
    assert 0 < error < 0.02
    assert found.nats.item() == pytest.approx(left, abs=4 * error + 1e-4)


@given(st.integers(0, 10_000))
def test_theorem_2_5_the_transport_bound_holds(seed: int) -> None:
    """In one dimension, W1 = E |F_u^-1 - F_v^-1|, by quantiles."""
    rng = np.random.default_rng(seed)
    mu, sigma = rng.normal(0, rng.choice([0.1, 1, 5]), 2), np.exp(rng.normal(0, 1, 2))
    levels = (np.arange(2000) + 0.5) / 2000
    w1 = wasserstein_distance(*(norm.ppf(levels, m, s) for m, s in zip(mu, sigma, strict=True)))
    kl = torch.from_numpy(0.5 * (mu**2 + sigma**2 - 1) - np.log(sigma))
    assert transport_bound(kl[:1], kl[1:]).item() >= w1


def test_the_transport_bound_is_tight_for_moved_priors_on_either_side() -> None:
    """N(-a, I) and N(a, I): W1 = 2a, KL = a^2 / 2; and so is the bound of the mean."""
    kl = torch.tensor([0.5 * 1.7**2])
    torch.testing.assert_close(transport_bound(kl, kl), torch.tensor([2 * 1.7]))
    assert mean_transport_bound(0.5 * 1.7**2) == pytest.approx(2 * 1.7)


def test_what_is_refused() -> None:
    q, x = gaussian([0.0]), rows([1, 0])
    with pytest.raises(DataError, match="empty"):
        gap(q, q, x, rows([0, 0]))
    point = DiagonalGaussian(q.mu, torch.full_like(q.mu, -math.inf))
    with pytest.raises(DataError, match="a point"):
        gap(q, point, x, x)
    with pytest.raises(SettingsError, match="n_samples is 1"):
        gap(q, q, x, x, n=1)
    with pytest.raises(SettingsError, match="constant is 0"):
        mean_transport_bound(1.0, 0.0)
