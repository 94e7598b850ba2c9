"""The Bernoulli likelihood against PyTorch's own."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.likelihoods.bernoulli import bernoulli
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step
from tests.vae.steps import make_step

N_USERS, N_ITEMS, K = 4, 7, 3


def make(seed: int) -> tuple[Tensor, Step]:
    rng = np.random.default_rng(seed)
    dense = (rng.random((N_USERS, N_ITEMS)) < 0.4).astype(np.float32)
    dense[0] = 0  # a user whose history is empty
    torch_rng = torch.Generator().manual_seed(seed)
    output = OutputLayer(K, N_ITEMS, torch_rng)
    with torch.no_grad():
        output.weight *= 5
    mu = torch.randn(N_USERS, K, generator=torch_rng)
    step = make_step(Rows.from_csr(csr_array(dense)), DiagonalGaussian(mu, mu * 0), output)
    return torch.from_numpy(dense), step


@given(st.integers(0, 10_000))
def test_is_binary_cross_entropy_of_every_item(seed: int) -> None:
    x, step = make(seed)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        step.logits, x, reduction="none"
    ).sum(1)
    torch.testing.assert_close(bernoulli(step), expected)


def test_gradient_is_probability_less_truth() -> None:
    x, step = make(0)
    logits = step.logits
    gradient = torch.autograd.grad(bernoulli(step).sum(), logits)[0]
    torch.testing.assert_close(gradient, torch.sigmoid(logits) - x)


def test_gradient_agrees_with_finite_differences() -> None:
    _, step = make(1)
    output = step.output.double()

    def nll(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        moved = make_step(step.histories, step.posterior, output, hidden=hidden)
        moved.__dict__["logits"] = torch.nn.functional.linear(hidden, weight, bias)
        return bernoulli(moved)

    hidden = step.hidden.detach().double().requires_grad_()
    assert torch.autograd.gradcheck(nll, (hidden, output.weight, output.bias))


def test_survives_huge_logits() -> None:
    x, step = make(2)
    with torch.no_grad():
        step.output.weight.zero_()
        step.output.bias.fill_(1e30)
    zeros = (1 - x).sum(1)
    torch.testing.assert_close(bernoulli(step), zeros * 1e30)
