"""LambdaRank: cost and lambdas as Burges (2010) has them, by the pair."""

from math import log2

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.ranking import Ranking
from nearfar.metrics.judged_ranking import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.vae.terms import lambda_rank
from nearfar.vae.terms.lambda_rank import LambdaRank
from tests.paper.test_warp import N_ITEMS, N_USERS, histories, random_scores, step_of

SIGMA = 1.3
EXACT = LambdaRank(SIGMA, top=N_ITEMS, sampled=1)


def ranks_of(scores: np.ndarray) -> np.ndarray:
    ranks = np.empty(len(scores), np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return ranks


def by_the_pair(scores: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cost a user and its gradient, in a double loop."""
    cost, gradient = np.zeros(len(x)), np.zeros(x.shape)
    for user in range(len(x)):
        ranks = ranks_of(scores[user])
        ideal = sum(1 / log2(1 + r) for r in range(1, int(x[user].sum()) + 1))
        for i in np.flatnonzero(x[user]):
            for j in np.flatnonzero(x[user] == 0):
                change = abs(1 / log2(1 + ranks[i]) - 1 / log2(1 + ranks[j])) / ideal
                ahead = SIGMA * (scores[user, i] - scores[user, j])
                cost[user] += change * np.log1p(np.exp(-ahead))
                lambda_ij = -SIGMA * change / (1 + np.exp(ahead))
                gradient[user, i] += lambda_ij
                gradient[user, j] -= lambda_ij
    return cost, gradient


def cost_and_gradient(
    term: LambdaRank, scores: Tensor, x: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    scores = scores.clone().requires_grad_()
    cost = term(step_of(scores, x, seed))
    cost.sum().backward()
    assert scores.grad is not None
    return cost.detach().numpy(), scores.grad.numpy()


@given(st.integers(0, 10_000))
def test_with_all_negatives_it_is_the_double_loop(seed: int) -> None:
    x, scores = histories(seed), random_scores(seed)
    cost, gradient = cost_and_gradient(EXACT, scores, x)
    expected_cost, expected_gradient = by_the_pair(scores.numpy(), x)
    np.testing.assert_allclose(cost, expected_cost, rtol=1e-6)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-9)
    assert cost[-1] == 0  # who has everything has no pairs


@pytest.mark.parametrize("seed", range(3))
def test_lambdas_are_the_costs_finite_differences(seed: int) -> None:
    """As long as no two items change places, |Delta NDCG| is constant."""
    x, scores = histories(seed), random_scores(seed)
    _, gradient = cost_and_gradient(EXACT, scores, x)
    eps = 1e-7
    for item in range(N_ITEMS):
        moved = torch.zeros_like(scores)
        moved[:, item] = eps
        up, _ = cost_and_gradient(EXACT, scores + moved, x)
        down, _ = cost_and_gradient(EXACT, scores - moved, x)
        np.testing.assert_allclose((up - down) / (2 * eps), gradient[:, item], atol=1e-6)


def test_delta_ndcg_is_the_change_of_the_metric() -> None:
    """The weight of a pair is what NDCG, by our own metric, changes by if the two change places."""
    x, scores = histories(1), random_scores(1).numpy()[0]
    ranks, positives = ranks_of(scores), np.flatnonzero(x[0])
    ideal = sum(1 / log2(1 + r) for r in range(1, len(positives) + 1))
    for i in positives:
        for j in np.flatnonzero(x[0] == 0):
            exchanged = ranks.copy()
            exchanged[i], exchanged[j] = ranks[j], ranks[i]
            expected = abs(1 / log2(1 + ranks[i]) - 1 / log2(1 + ranks[j])) / ideal
            change = ndcg(exchanged, x[:1]) - ndcg(ranks, x[:1])
            assert abs(change) == pytest.approx(expected, abs=1e-6)


def ndcg(ranks: np.ndarray, x: np.ndarray) -> float:
    order = np.argsort(ranks)[None]
    ranking = Ranking(order, -np.arange(N_ITEMS, dtype=np.float32)[None])
    judged = judge(ranking, csr_array(x), np.ones(N_ITEMS, np.int64), 1)
    return float(NDCG(N_ITEMS).per_user(judged)[0])


@pytest.mark.parametrize(("top", "sampled"), [(0, 3), (2, 2), (5, 1)])
def test_a_sample_of_the_negatives_is_unbiased(top: int, sampled: int) -> None:
    x, scores, copies = histories(2), random_scores(2), 2000
    term = LambdaRank(SIGMA, top, sampled)
    found = cost_and_gradient(term, scores.repeat(copies, 1), np.tile(x, (copies, 1)))
    for got, exact in zip(found, by_the_pair(scores.numpy(), x), strict=True):
        estimates = got.reshape(copies, *exact.shape)
        error = estimates.std(0) / np.sqrt(copies)
        assert (np.abs(estimates.mean(0) - exact) <= 4.5 * error + 1e-7).all()
        assert error.max() > 0


def test_one_draw_from_every_single_place_is_exact() -> None:
    """Stretches of one negative each: sampling without a choice."""
    x, scores = histories(4)[:1], random_scores(4)[:1]
    n_negatives = int((x[0] == 0).sum())
    term = LambdaRank(SIGMA, top=3, sampled=n_negatives - 3)
    for got, expected in zip(
        cost_and_gradient(term, scores, x), by_the_pair(scores.numpy(), x), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-8)


def test_users_in_parts_give_the_same(monkeypatch) -> None:
    x, scores = histories(5), random_scores(5)
    whole = cost_and_gradient(EXACT, scores, x)
    monkeypatch.setattr(lambda_rank, "PART_BYTES", 1)
    parts = EXACT._bounds(step_of(scores, x).histories)
    assert parts == [(i, i + 1) for i in range(N_USERS)]
    for got, expected in zip(cost_and_gradient(EXACT, scores, x), whole, strict=True):
        np.testing.assert_array_equal(got, expected)
