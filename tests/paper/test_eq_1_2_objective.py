"""Eq. 1-2: the multinomial likelihood, its gradient, the reparameterisation, the KL term."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import linear_multinomial_nll
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.normal import Normal
from nearfar.vae.terms.kl import KL
from tests.vae.steps import make_step


def random_rows(seed: int, n_users: int = 5, n_items: int = 7) -> tuple[np.ndarray, Rows]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((n_users, n_items)) < 0.4).astype(np.float32)
    return dense, Rows.from_csr(csr_array(dense))


def layer(seed: int, n_items: int, n_hidden: int = 4) -> OutputLayer:
    rng = torch.Generator().manual_seed(seed)
    return OutputLayer(n_hidden, n_items, rng).double()


@given(st.integers(0, 10_000))
def test_likelihood_is_its_definition(seed: int) -> None:
    x, rows = random_rows(seed)
    output = layer(seed, x.shape[1])
    hidden = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 3, (len(x), 4)))
    expected = -(torch.from_numpy(x) * torch.log_softmax(output(hidden), 1)).sum(1)
    torch.testing.assert_close(output.multinomial_nll(hidden, rows), expected)


@settings(max_examples=8)  # each looks at 37 numbers
@given(st.integers(0, 10_000))
def test_likelihood_gradient_agrees_with_finite_differences(seed: int) -> None:
    _, rows = random_rows(seed, 3, 5)
    output = layer(seed, 5)
    hidden = torch.from_numpy(np.random.default_rng(seed + 1).normal(0, 2, (3, 4)))
    hidden.requires_grad_()

    def nll(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear_multinomial_nll(hidden, weight, bias, rows, output.workspace)

    assert torch.autograd.gradcheck(nll, (hidden, output.weight, output.bias))


def test_likelihood_survives_huge_logits() -> None:
    _, rows = random_rows(0)
    output = layer(0, 7)
    torch.nn.init.constant_(output.bias, 1e30)
    nll = output.multinomial_nll(torch.zeros(5, 4, dtype=torch.float64), rows)
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
    step = make_step(rows, q, layer(0, x.shape[1]))
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(q.mu, q.variance.sqrt()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    torch.testing.assert_close(KL(Normal().build(x.shape[1], 4, rng))(step), expected)
