"""Eq. 5-7: what a latent dimension tells of the user."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from nearfar.vae.information import Information
from nearfar.vae.posterior import DiagonalGaussian


def measured(mu: torch.Tensor, logvar: torch.Tensor, parts: int = 1) -> torch.Tensor:
    information = Information(mu.shape[1])
    for m, v in zip(mu.chunk(parts), logvar.chunk(parts), strict=True):
        information.add(DiagonalGaussian(m, v))
    return information.nats()


def test_equal_posteriors_tell_nothing() -> None:
    """Wherever they stand: far from the prior, narrow or wide."""
    mu = torch.tensor([[0.0, 3.0, -700.0]]).repeat(40, 1)
    logvar = torch.tensor([[0.0, -9.0, 5.0]]).repeat(40, 1)
    torch.testing.assert_close(
        measured(mu, logvar), torch.zeros(3, dtype=torch.float64), atol=1e-6, rtol=0
    )


def test_a_gaussian_population_is_exact() -> None:
    """With mu ~ N(0, s^2) and noise sigma, I = (1/2) log(1 + s^2 / sigma^2)."""
    quantiles = (np.arange(200_000) + 0.5) / 200_000
    standard = torch.from_numpy(norm.ppf(quantiles)).float()
    spreads, sigmas = np.array([0.1, 1.0, 4.0]), np.array([1.0, 0.5, 0.2])
    mu = standard[:, None] * torch.from_numpy(spreads).float() + 2
    logvar = torch.from_numpy(np.log(sigmas**2)).float().expand(len(mu), 3)
    expected = 0.5 * np.log1p(spreads**2 / sigmas**2)
    np.testing.assert_allclose(measured(mu, logvar, parts=8), expected, rtol=1e-3)


def test_two_far_groups_tell_one_bit_and_no_more_than_the_bound() -> None:
    """The true information of two posteriors, by integration, is below the bound."""
    for distance in (0.5, 2.0, 6.0):
        mu = torch.tensor([[-distance], [distance]])

        def aggregated(z: float, at: float = distance) -> float:
            return (norm.pdf(z, -at) + norm.pdf(z, at)) / 2

        entropy = quad(lambda z: -aggregated(z) * math.log(aggregated(z)), -14, 14, limit=200)[0]
        true = entropy - 0.5 * math.log(2 * math.pi * math.e)
        bound = measured(mu, torch.zeros(2, 1)).item()
        assert true <= bound
        assert bound == pytest.approx(0.5 * math.log1p(distance**2), rel=1e-5)


def test_order_and_size_of_batches_do_not_matter() -> None:
    rng = torch.Generator().manual_seed(0)
    mu, logvar = torch.randn(60, 5, generator=rng), torch.randn(60, 5, generator=rng)
    expected = measured(mu, logvar)
    order = torch.randperm(60, generator=rng)
    torch.testing.assert_close(measured(mu[order], logvar[order], 7), expected)
    variance = logvar.exp().mean(0) + mu.var(0, correction=0)
    torch.testing.assert_close(expected.float(), 0.5 * (variance.log() - logvar.mean(0)))


def test_all_is_forgotten() -> None:
    information = Information(2)
    assert (information.nats() == 0).all()
    information.add(DiagonalGaussian(torch.randn(9, 2), torch.zeros(9, 2)))
    assert (information.nats() > 0).all()
    information.clear()
    assert information.n_users == 0
    assert (information.nats() == 0).all()
