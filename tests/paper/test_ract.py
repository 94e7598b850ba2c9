"""RaCT: what the critic is told, what it must guess, and what the network hears of it."""

import copy

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.ranking import Ranking
from nearfar.kernels.rows import Rows
from nearfar.metrics.judged_ranking import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Architecture
from nearfar.vae.corruption.corruption import Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.likelihoods.multinomial import reconstruction
from nearfar.vae.network import VAE
from nearfar.vae.step import Step
from nearfar.vae.terms.critic import (
    DECAY,
    PLACES,
    SMALLEST_VARIANCE,
    Critic,
    CriticValue,
    FeatureMoments,
    step_ndcg,
)

N_USERS, N_ITEMS = 12, 400


def network(keep_prob: float = 0.5) -> VAE:
    architecture = Architecture(N_ITEMS, 5, Base((7,)), (6,), Dropout(keep_prob))
    return architecture.build(torch.Generator().manual_seed(0))


def histories() -> csr_array:
    """Few items, many, and so many that more than 100 are hidden; the last user has one."""
    rng = np.random.default_rng(0)
    shares = np.linspace(0.01, 0.9, N_USERS)[:, None]
    x = (rng.random((N_USERS, N_ITEMS)) < shares).astype(np.float32)
    x[-1] = 0
    x[-1, 3] = 1
    return csr_array(x)


def taken(vae: VAE, seed: int = 1) -> Step:
    rng = torch.Generator().manual_seed(seed)
    return vae.training_step(Rows.from_csr(histories()), rng)


def critic(step: Step) -> Critic:
    made = Critic(torch.Generator().manual_seed(0))
    made.gather(step, reconstruction(step))
    return made


def dense(rows: Rows) -> np.ndarray:
    x = np.zeros((rows.n_users, rows.n_items), np.float32)
    x[rows.users.numpy(), rows.indices.numpy()] = 1
    return x


def metric(step: Step, k: int) -> np.ndarray:
    """The metric of nearfar on a whole sort of the step's scores."""
    shown = dense(step.shown.rows)
    scores = np.where(shown > 0, -np.inf, step.logits.detach().numpy())
    items = np.argsort(-scores, axis=1)[:, :k]
    found = np.take_along_axis(scores, items, axis=1)
    ranking = Ranking(np.where(np.isinf(found), -1, items), found.astype(np.float32))
    hidden = csr_array(dense(step.histories) - shown)
    return NDCG(k).per_user(judge(ranking, hidden, np.ones(N_ITEMS, np.int64), 1))


@pytest.mark.parametrize("keep_prob", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("k", [1, 10, PLACES])
def test_ndcg_of_a_step_is_that_of_the_metric(keep_prob: float, k: int) -> None:
    step = taken(network(keep_prob))
    expected = metric(step, k)
    assert np.isnan(expected).any() == (keep_prob > 0.5)  # who was shown everything
    np.testing.assert_allclose(step_ndcg(step, k), np.nan_to_num(expected), rtol=1e-6)


def test_ndcg_is_taken_in_parts_where_scores_are_too_many() -> None:
    step = taken(network())
    whole = step_ndcg(step, PLACES)
    assert float(whole.min()) < float(whole.max())
    workspace = step.output.workspace
    workspace.limit_bytes = 5 * N_ITEMS * 4
    torch.testing.assert_close(step_ndcg(step, PLACES), whole, rtol=0, atol=0)
    workspace.release()


def test_ndcg_of_fewer_items_than_places() -> None:
    step = taken(network())
    np.testing.assert_allclose(
        step_ndcg(step, N_ITEMS + 50), np.nan_to_num(metric(step, N_ITEMS)), rtol=1e-6
    )


def test_the_value_is_a_network_of_nll_and_two_counts() -> None:
    """100-100-10 ReLU and a sigmoid on normalised (-log p(x|z), |shown|, |hidden|)."""
    step = taken(network())
    judging = critic(step)
    log_p = torch.log_softmax(step.logits.detach(), 1).numpy()
    x, shown = dense(step.histories), dense(step.shown.rows)
    features = np.stack([-(x * log_p).sum(1), shown.sum(1), (x - shown).sum(1)], 1)
    h = (features - features.mean(0)) / np.sqrt(features.var(0) + SMALLEST_VARIANCE)
    sizes = []
    for layer in judging.layers:
        weight, bias = (p.detach().numpy() for p in (layer.weight, layer.bias))
        h = np.maximum(h, 0) @ weight.T + bias if sizes else h @ weight.T + bias
        sizes.append(len(bias))
    assert sizes == [100, 100, 10, 1]
    got = judging.value(step, reconstruction(step)).detach().numpy()
    np.testing.assert_allclose(got, 1 / (1 + np.exp(-h[:, 0])), rtol=1e-4, atol=1e-5)


def test_the_critic_learns_from_its_squared_error_alone() -> None:
    vae = network()
    step = taken(vae)
    judging = critic(step)
    error = judging(step)
    value = judging.value(step, reconstruction(step)).detach().numpy()
    expected = (value - np.nan_to_num(metric(step, PLACES))) ** 2
    np.testing.assert_allclose(error.detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    error.mean().backward()
    assert all(p.grad is None for p in vae.parameters())
    assert all(p.grad is not None and p.grad.any() for p in judging.layers[-1:].parameters())


def test_the_network_hears_of_the_critic_through_the_nll_alone() -> None:
    """The ranking term's gradient is sum_u -(d value / d nll)_u d nll_u, with counts held."""
    vae = network()
    step = taken(vae)
    judging = critic(step)
    exact, nll = copy.deepcopy(judging).double(), reconstruction(step).detach().double()
    with torch.no_grad():
        slope = (exact.value(step, nll + 1e-5) - exact.value(step, nll - 1e-5)) / 2e-5
    assert float(slope.abs().max()) > 0
    parameters = list(vae.parameters())
    heard = torch.autograd.grad(CriticValue(judging)(step).sum(), parameters)
    expected = torch.autograd.grad((-slope * reconstruction(taken(vae))).sum(), parameters)
    for a, b in zip(heard, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


@torch.no_grad()
def test_a_loss_that_all_users_share_is_not_normalised_away() -> None:
    """The moments of the batch itself would hide it, and the actor would have no gradient."""
    step = taken(network())
    judging = critic(step)
    nll = reconstruction(step)
    assert float((judging.value(step, nll) - judging.value(step, nll + 50)).abs().max()) > 1e-4


def test_moments_are_averages_over_users_that_fade() -> None:
    assert 0.9 < DECAY < 1
    rng = np.random.default_rng(0)
    batches = [rng.normal(3, 2, (n, 2)).astype(np.float32) for n in (5, 1, 8)]
    moments = FeatureMoments(2)
    for batch in batches:
        moments.gather(torch.from_numpy(batch))
    weights = np.concatenate(
        [np.full(len(b), DECAY**age) for b, age in zip(batches, (2, 1, 0), strict=True)]
    )
    users = np.concatenate(batches)
    mean = np.average(users, axis=0, weights=weights)
    variance = np.average((users - mean) ** 2, axis=0, weights=weights)
    features = torch.from_numpy(batches[0])
    before = moments.totals.clone()
    got: Tensor = moments(features)
    expected = (batches[0] - mean) / np.sqrt(variance + SMALLEST_VARIANCE)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert torch.equal(moments.totals, before)
