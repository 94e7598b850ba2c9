"""Eq. 5-7: E KL = I(X; Z) + KL(qbar || p)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.sparse import csr_array
from scipy.stats import norm

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.theory.mutual_information import KLDecomposition, decompose_kl
from nearfar.theory.reconstruction_gap import mean_transport_bound
from nearfar.vae.corruption.corruption import Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.network import VAE
from nearfar.vae.posterior import DiagonalGaussian
from tests.theory.distances import pairwise_mean_distance


def population(
    n_users: int, spread: float, sigma: float, n_latent: int = 2, shift: float = 0.5, seed: int = 0
) -> DiagonalGaussian:
    rng = torch.Generator().manual_seed(seed)
    mu = shift + spread * torch.randn(n_users, n_latent, generator=rng)
    return DiagonalGaussian(mu, torch.full_like(mu, 2 * math.log(sigma)))


def decompose(q: DiagonalGaussian, n_draws: int = 1, seed: int = 0) -> KLDecomposition:
    return decompose_kl(q, rng=torch.Generator().manual_seed(seed), n_draws=n_draws)


def assert_closes(found: KLDecomposition, z: float = 3.0) -> None:
    """I + mismatch, from latents, is the closed-form KL within `z` errors."""
    slack = 1e-9 * max(1.0, abs(found.kl))
    assert abs(found.sampled_kl - found.kl) <= z * found.sampled_kl_error + slack


@pytest.mark.parametrize(("spread", "sigma"), [(0.3, 1.0), (1.0, 0.7), (2.0, 0.4)])
def test_a_gaussian_population(spread: float, sigma: float) -> None:
    """mu ~ N(m, s^2): I = (1/2) log(1 + s^2 / sigma^2) a dimension, qbar = N(m, s^2 + sigma^2)."""
    information = 2 * 0.5 * math.log1p(spread**2 / sigma**2)
    variance = spread**2 + sigma**2
    mismatch = 2 * 0.5 * (0.5**2 + variance - 1 - math.log(variance))
    found = decompose(population(1500, spread, sigma))
    low, high = found.information_interval()
    assert low <= information <= high
    assert high - low < 0.35
    assert_closes(found)
    error = 4 * (found.kl_error + found.information_low_error)
    assert found.mismatch_low - error <= mismatch <= found.mismatch_high + error
    assert found.kl == pytest.approx(information + mismatch, abs=4 * found.kl_error)


def test_the_estimates_are_biased_as_stated() -> None:
    """Over many small samples, low has a mean below I and high one above it, by far."""
    information = 2 * 0.5 * math.log1p(1 / 0.3**2)
    found = [decompose(population(12, 1.0, 0.3, seed=s), 4, s) for s in range(120)]
    for values, sign in (
        ([f.information_low for f in found], -1),
        ([f.information_high for f in found], 1),
    ):
        error = np.std(values) / math.sqrt(len(values))
        assert sign * (np.mean(values) - information) > 5 * error
    assert all(f.information_low <= math.log(12) for f in found)


def test_low_is_exact_for_a_population_of_its_own() -> None:
    """Three users and nobody else: I by numerical integration."""
    mu, sigma = np.array([-1.0, 0.2, 2.0]), 0.6

    def integrand(z: float) -> float:
        p = norm.pdf(z, mu, sigma)
        return float(np.mean(p * np.log(p / p.mean())))

    information = quad(integrand, -6, 7)[0]
    means = torch.from_numpy(mu)[:, None].float()
    q = DiagonalGaussian(means, torch.full_like(means, 2 * math.log(sigma)))
    values = [decompose(q, 10, s).information_low for s in range(80)]
    error = float(np.std(values)) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(information, abs=4 * error)
    assert error < 0.02


@given(st.integers(0, 10_000), st.floats(0, 5), st.floats(0.05, 3))
def test_eq_7_the_parts_add_up_and_keep_their_order(seed: int, spread: float, sigma: float) -> None:
    found = decompose(population(40, spread, sigma, seed=seed), 3, seed)
    assert found.information_low <= found.information_high + 1e-9
    assert found.information_low + found.mismatch_high == pytest.approx(found.sampled_kl)
    assert found.information_high + found.mismatch_low == pytest.approx(found.sampled_kl)
    assert_closes(found, z=5)
    low, high = found.information_interval()
    assert 0 <= low <= high


def test_equal_posteriors_tell_nothing() -> None:
    found = decompose(population(50, 0.0, 0.5))
    assert found.information_low == pytest.approx(0, abs=1e-9)
    assert found.information_high == pytest.approx(0, abs=1e-9)
    assert found.mismatch_low == pytest.approx(found.mismatch_high, abs=1e-9)
    standard = decompose(population(50, 0.0, 1.0, shift=0.0))
    assert standard.kl == pytest.approx(0, abs=1e-9)
    assert_closes(standard)


def masked(keep_prob: float) -> tuple[DiagonalGaussian, DiagonalGaussian]:
    rng = torch.Generator().manual_seed(5)
    network = VAE(
        n_items=30, n_latent=3, encoder=Base((8,)), decoder_hidden=(), corruption=Mask(keep_prob),
        rng=rng,
    )  # fmt: skip
    x = np.random.default_rng(0).random((400, 30)) < 0.3
    rows = Rows.from_csr(csr_array(x.astype(np.float32)))
    with torch.no_grad():
        return network.encoder(network.corruption.corrupt(rows, rng)), network.encode(rows)


def test_of_masked_inputs() -> None:
    shown, clean = masked(0.5)
    assert not torch.equal(shown.mu, clean.mu)
    found = decompose(shown)
    assert_closes(found)
    whole, clean = masked(1.0)
    torch.testing.assert_close(whole.mu, clean.mu)


def test_of_another_prior_it_is_by_the_latents_drawn() -> None:
    """p = N(.5, I): the KL has a closed form that the latents must find, I is what it was."""
    q = population(2000, 1.0, 0.6)

    def shifted(z: torch.Tensor) -> torch.Tensor:
        return torch.distributions.Normal(0.5, 1.0).log_prob(z).sum(1)

    found = decompose_kl(q, rng=torch.Generator().manual_seed(1), n_draws=3, log_prior=shifted)
    expected = 0.5 * ((q.mu - 0.5).square() + q.variance - 1 - q.logvar).double().sum(1).mean()
    assert found.kl == pytest.approx(float(expected), abs=0.03)
    plain = decompose(q, n_draws=3, seed=1)
    assert found.information_low == plain.information_low
    assert found.standard_kl == plain.kl > found.kl
    assert found.mismatch_high < plain.mismatch_high
    knows = decompose_kl(
        q, rng=torch.Generator().manual_seed(1), log_prior=shifted, knows_user=True
    )
    assert math.isnan(knows.mismatch_low)
    assert knows.information_interval()[1] <= plain.kl


def test_numbers_are_those_of_float64() -> None:
    """Posteriors are float32 as the encoder gives them; what is made of them is float64."""
    q = population(200, 3.0, 0.05, n_latent=50)
    mu, logvar = q.mu.double(), q.logvar.double()
    exact = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
    assert decompose(q).kl == pytest.approx(float(exact), rel=1e-13)


def test_eq_6_distances_are_within_the_mean_transport_bound() -> None:
    """E ||mu_u - mu_v|| <= E W1 <= 2 sqrt(2 E KL), also with masked inputs."""
    for q in (masked(0.5)[0], population(300, 1.0, 0.5), population(300, 5.0, 1.0)):
        assert pairwise_mean_distance(q).mean() <= mean_transport_bound(decompose(q).kl)


def test_what_is_refused() -> None:
    with pytest.raises(SettingsError, match="1 users"):
        decompose(population(1, 1.0, 1.0))
    with pytest.raises(SettingsError, match="n_draws is 0"):
        decompose(population(3, 1.0, 1.0), 0)
    point = DiagonalGaussian(torch.zeros(3, 2), torch.full((3, 2), -math.inf))
    with pytest.raises(DataError, match="a point"):
        decompose(point)
