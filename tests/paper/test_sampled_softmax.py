"""The sampled normaliser: exact where everything is sampled, unbiased in Z elsewhere."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.likelihoods.multinomial import reconstruction
from nearfar.vae.likelihoods.sampled import SampledReconstruction
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step
from tests.vae import steps

N_USERS, N_ITEMS, N_HIDDEN = 5, 60, 4


def make_step(seed: int, x: np.ndarray) -> Step:
    rng = torch.Generator().manual_seed(7)
    hidden = torch.randn(len(x), N_HIDDEN, generator=rng)
    output = OutputLayer(N_HIDDEN, N_ITEMS, rng)
    torch.nn.init.normal_(output.weight, generator=rng)
    return steps.make_step(
        Rows.from_csr(csr_array(x)),
        DiagonalGaussian(hidden, hidden),
        output,
        rng=torch.Generator().manual_seed(seed),
    )


def histories(seed: int) -> np.ndarray:
    x = (np.random.default_rng(seed).random((N_USERS, N_ITEMS)) < 0.1).astype(np.float32)
    x[0] = 0
    return x


def test_with_every_item_sampled_for_certain_it_is_the_exact_likelihood() -> None:
    step = make_step(0, histories(0))
    sampled = SampledReconstruction(torch.zeros(N_ITEMS), negatives=5000)
    exact = reconstruction(step)
    torch.testing.assert_close(sampled(step), exact, rtol=1e-5, atol=1e-4)
    expected = torch.autograd.grad(exact.sum(), step.output.weight)[0]
    got = torch.autograd.grad(sampled(step).sum(), step.output.weight)[0]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_normaliser_is_unbiased() -> None:
    """Over batches of other users and over draws, the mean of Z is Z, and so for each user."""
    shares = np.linspace(0.4, 0.01, N_ITEMS).astype(np.float32)
    term = SampledReconstruction(torch.from_numpy(shares), negatives=6)
    rng = np.random.default_rng(3)
    own = (rng.random(N_ITEMS) < 0.1).astype(np.float32)
    n, estimates, exact = 1500, [], None
    for seed in range(n):
        x = (rng.random((N_USERS, N_ITEMS)) < shares).astype(np.float32)
        x[0] = own
        step = make_step(seed, x)
        if exact is None:
            exact = torch.logsumexp(step.logits[0], 0).exp().item()
        chosen = (step.logits[0] * torch.from_numpy(own)).sum()
        estimates.append(((term(step)[0] + chosen) / own.sum()).exp().item())
    error = np.std(estimates) / np.sqrt(n)
    assert abs(np.mean(estimates) - exact) < 4 * error
    assert error < 0.035 * exact
    # without the correction by chances of .1 to .9 the estimate would be far too low
    assert term.log_chance(torch.arange(N_ITEMS), N_USERS).exp().mean() < 0.8


def test_only_sampled_rows_get_a_gradient() -> None:
    x = histories(1)
    step = make_step(5, x)
    term = SampledReconstruction(torch.from_numpy(x.mean(0)), negatives=10)
    term(step).sum().backward()
    drawn = torch.randint(N_ITEMS, (10,), generator=torch.Generator().manual_seed(5))
    present = set(drawn.tolist()) | set(np.flatnonzero(x.sum(0)).tolist())
    touched = step.output.weight.grad.abs().sum(1).nonzero()[:, 0].tolist()
    assert set(touched) == present
    assert len(present) < N_ITEMS


def test_a_part_of_the_users_at_a_time_changes_nothing() -> None:
    step = make_step(2, histories(2))
    term = SampledReconstruction(torch.full((N_ITEMS,), 0.1), negatives=20)
    whole = term(step)
    step.rng.manual_seed(2)
    step.output.workspace.limit_bytes = 2 * N_ITEMS * 4
    torch.testing.assert_close(term(step), whole)
