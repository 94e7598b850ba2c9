"""WARP: the loss and its gradient as WSABIE's Algorithm 1 has them."""

from math import comb

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step
from nearfar.vae.terms import warp
from nearfar.vae.terms.warp import WARPLoss, harmonic_numbers
from tests.vae.steps import make_step

N_USERS, N_ITEMS, TRIES, MARGIN = 4, 11, 6, 0.7


def histories(seed: int) -> np.ndarray:
    """The last user has everything, so that there are no negatives."""
    x = (np.random.default_rng(seed).random((N_USERS, N_ITEMS)) < 0.35).astype(np.float32)
    x[:, 2] = 1
    x[-1] = 1
    return x


def step_of(scores: Tensor, x: np.ndarray, seed: int = 0) -> Step:
    """A step with these scores: hidden units are the scores, the last layer passes them on."""
    output = OutputLayer(scores.shape[1], scores.shape[1], torch.Generator()).to(scores.dtype)
    with torch.no_grad():
        output.weight.copy_(torch.eye(scores.shape[1]))
        output.bias.zero_()
    return make_step(
        Rows.from_csr(csr_array(x)),
        DiagonalGaussian(scores, torch.zeros_like(scores)),
        output,
        rng=torch.Generator().manual_seed(seed),
    )


def random_scores(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed + 1).normal(size=(N_USERS, N_ITEMS)))


def by_the_book(scores: np.ndarray, x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """One positive after the other, one draw after the other."""
    losses, entry = np.zeros(len(x)), 0
    for user in range(len(x)):
        negatives = set(np.flatnonzero(x[user] == 0))
        for positive in np.flatnonzero(x[user]):
            n = 0
            for item in draws[entry]:
                if item not in negatives:
                    continue
                n += 1
                hinge = MARGIN - scores[user, positive] + scores[user, item]
                if hinge > 0:
                    rank = len(negatives) // n
                    losses[user] += sum(1 / j for j in range(1, rank + 1)) * hinge
                    break
            entry += 1
    return losses


@pytest.mark.parametrize("at_a_time", [1, 3, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_is_the_published_loop(seed: int, at_a_time: int, monkeypatch) -> None:
    """However many positives are looked at at a time, which is what bounds the memory."""
    monkeypatch.setattr(warp, "CHUNK_DRAWS", at_a_time * TRIES)
    x, scores = histories(seed), random_scores(seed)
    rng = torch.Generator().manual_seed(0)
    sizes = np.diff([*range(0, int(x.sum()), at_a_time), int(x.sum())])
    draws = [torch.randint(N_ITEMS, (int(n), TRIES), generator=rng) for n in sizes]
    expected = by_the_book(scores.numpy(), x, torch.cat(draws).numpy())
    got = WARPLoss(N_ITEMS, TRIES, MARGIN)(step_of(scores, x))
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-6)
    assert expected[0] > 0
    assert expected[-1] == 0


@pytest.mark.parametrize("seed", range(3))
def test_gradient_agrees_with_finite_differences(seed: int) -> None:
    """L(rank) and the violations stay while a score moves a little."""
    x, scores = histories(seed), random_scores(seed).requires_grad_()
    term = WARPLoss(N_ITEMS, TRIES, MARGIN)
    assert torch.autograd.gradcheck(lambda s: term(step_of(s, x)), scores, eps=1e-7, atol=1e-5)


def test_the_weight_is_that_of_the_estimated_rank() -> None:
    """With k violations among m negatives the draws are geometric: the mean of L(m // n) is known.

    Users are copies of one whose positive has k negatives within the margin.
    """
    m, k, tries, n_users = 40, 7, 25, 20_000
    scores = torch.full((n_users, m + 1), -10.0, dtype=torch.float64)
    scores[:, 0] = 0.0
    scores[:, 1 : 1 + k] = -MARGIN + 1.0  # each of them costs 1
    x = np.zeros((n_users, m + 1), np.float32)
    x[:, 0] = 1
    got = WARPLoss(m + 1, tries, MARGIN)(step_of(scores, x)).detach().numpy()
    # one draw of m + 1 is the positive itself: neither a draw that counts nor a violation
    harmonic = harmonic_numbers(m).double().numpy()
    own, hit = 1 / (m + 1), k / (m + 1)
    expected = sum(
        comb(place, n_own) * own**n_own * (1 - own - hit) ** (place - n_own) * hit
        * harmonic[m // (place + 1 - n_own)]
        for place in range(tries)
        for n_own in range(place + 1)
    )  # fmt: skip
    error = got.std() / np.sqrt(n_users)
    assert got.mean() == pytest.approx(expected, abs=4 * error)
    assert error < 0.01 * expected


def test_what_is_ranked_right_by_the_margin_costs_nothing() -> None:
    x = histories(3)
    scores = torch.from_numpy(x).double() * (MARGIN + 1e-6)
    scores.requires_grad_()
    loss = WARPLoss(N_ITEMS, 50, MARGIN)(step_of(scores, x))
    loss.sum().backward()
    assert loss.abs().max() == 0
    assert scores.grad is not None
    assert scores.grad.abs().max() == 0


def test_a_users_own_items_are_never_pushed_down() -> None:
    x = histories(0)
    scores = random_scores(0).requires_grad_()
    WARPLoss(N_ITEMS, 50, 100.0)(step_of(scores, x)).sum().backward()
    assert scores.grad is not None
    gradient = scores.grad.numpy()
    assert (gradient[:-1][x[:-1] > 0] < 0).all()  # with such a margin everything violates
    assert (gradient[x == 0] >= 0).all()
    assert np.abs(gradient.sum(1)).max() < 1e-9


def test_harmonic_numbers() -> None:
    torch.testing.assert_close(harmonic_numbers(4), torch.tensor([0, 1, 1.5, 11 / 6, 25 / 12]))
