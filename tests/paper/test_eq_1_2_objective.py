"""Eq. 1-2: the multinomial likelihood, its gradient, the reparameterisation, the KL term."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.normal import Normal
from nearfar.vae.rows import Rows
from nearfar.vae.terms.kl import KL
from nearfar.vae.terms.reconstruction import multinomial_nll
from nearfar.vae.terms.term import Step


def random_rows(seed: int, n_users: int = 5, n_items: int = 7) -> tuple[np.ndarray, Rows]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, n_items)) < 0.4).astype(np.float32)
    return dense, Rows.from_csr(csr_array(dense))


@given(st.integers(0, 10_000))
def test_likelihood_is_its_definition(seed: int) -> None:
    x, rows = random_rows(seed)
    logits = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 3, x.shape))
    expected = -(torch.from_numpy(x) * torch.log_softmax(logits, 1)).sum(1)
    torch.testing.assert_close(multinomial_nll(logits, rows), expected)


@given(st.integers(0, 10_000))
def test_likelihood_gradient_agrees_with_finite_differences(seed: int) -> None:
    x, rows = random_rows(seed, 3, 5)
    logits = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 2, x.shape))
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda f: multinomial_nll(f, rows), logits)


def test_likelihood_survives_huge_logits() -> None:
    _, rows = random_rows(0)
    nll = multinomial_nll(torch.full((5, 7), 1e30), rows)
    torch.testing.assert_close(nll, rows.counts * np.log(7), check_dtype=False)


def test_noise_has_standard_deviation_sigma() -> None:
    sigma = torch.tensor([0.1, 1.0, 3.0])
    posterior = DiagonalGaussian(torch.tensor([[1.0, -2.0, 0.0]]), 2 * sigma.log()[None])
    noise = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(0))
    z = posterior.sample(noise)
    torch.testing.assert_close(z.mean(0), posterior.mu[0], atol=0.03, rtol=0)
    torch.testing.assert_close(z.std(0), sigma, atol=0, rtol=0.01)


@given(st.integers(0, 10_000))
def test_kl_is_torchs(seed: int) -> None:
    x, rows = random_rows(seed)
    rng = torch.Generator().manual_seed(seed)
    q = DiagonalGaussian(torch.randn(5, 4, generator=rng), torch.randn(5, 4, generator=rng))
    step = Step(rows, q, q.mu, torch.zeros(x.shape))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mu, q.variance.sqrt()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    torch.testing.assert_close(KL(Normal())(step), expected)
