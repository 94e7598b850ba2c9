from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from nearfar.core.ranking import Ranking
from nearfar.metrics.hit_rate import HitRate
from nearfar.metrics.map import MAP
from nearfar.metrics.metric import JudgedRanking, UserMetric
from nearfar.metrics.mrr import MRR
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.precision import Precision
from nearfar.metrics.recall import Recall
from tests.metrics.cases import judged, judged_rankings

RELEVANCE: list[UserMetric] = [
    Recall(),
    Recall(over="held_out"),
    NDCG(),
    Precision(),
    HitRate(),
    MRR(),
    MAP(),
    MAP(over="held_out"),
]
every_relevance = pytest.mark.parametrize("metric", RELEVANCE, ids=str)


def with_hits(seen: JudgedRanking, hits: np.ndarray) -> JudgedRanking:
    return replace(seen, hits=hits)


def best(seen: JudgedRanking) -> JudgedRanking:
    """As many hits as can be, all at the top."""
    return with_hits(seen, np.arange(seen.ranking.k) < seen.n_held_out[:, None])


@every_relevance
@given(seen=judged_rankings())
def test_lies_between_nothing_found_and_the_best_ranking(
    metric: UserMetric, seen: JudgedRanking
) -> None:
    at = metric @ seen.ranking.k
    values = at.per_user(seen)
    assert (values >= 0).all()
    assert (values <= at.per_user(best(seen)) + 1e-12).all()
    assert (at.per_user(with_hits(seen, np.zeros_like(seen.hits))) == 0).all()


@pytest.mark.parametrize("metric", [Recall(), NDCG(), HitRate(), MRR(), MAP()], ids=str)
@given(seen=judged_rankings())
def test_the_best_ranking_reaches_1(metric: UserMetric, seen: JudgedRanking) -> None:
    assert_allclose((metric @ seen.ranking.k).per_user(best(seen)), 1, rtol=1e-12)


@every_relevance
@given(seen=judged_rankings(padded=False), data=st.data())
def test_promoting_a_hit_never_lowers(
    metric: UserMetric, seen: JudgedRanking, data: st.DataObject
) -> None:
    k = seen.ranking.k
    place = data.draw(st.integers(0, k - 1))
    hits = seen.hits.copy()
    hits[:, place] = False
    hits[:, place] |= hits.sum(axis=1) < seen.n_held_out  # one hit there, if one can be
    promoted = hits.copy()
    other = data.draw(st.integers(0, place))
    promoted[:, [other, place]] = hits[:, [place, other]]
    was_hit = hits[:, place]
    cut = metric @ data.draw(st.integers(1, k))
    before = cut.per_user(with_hits(seen, hits))[was_hit]
    after = cut.per_user(with_hits(seen, promoted))[was_hit]
    assert (after >= before - 1e-12).all()


@pytest.mark.parametrize("metric", [NDCG(), MRR(), MAP()], ids=str)
def test_the_place_matters(metric: UserMetric) -> None:
    high, low = judged([[0, 1, 2]], [[0]]), judged([[1, 2, 0]], [[0]])
    assert (metric @ 3).overall(high) > (metric @ 3).overall(low)


@every_relevance
@given(seen=judged_rankings(), seed=st.integers(0, 1000))
def test_permuting_users_permutes_values(
    metric: UserMetric, seen: JudgedRanking, seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(seen.n_users)
    moved = replace(
        seen,
        ranking=Ranking(seen.ranking.items[order], seen.ranking.scores[order]),
        hits=seen.hits[order],
        n_held_out=seen.n_held_out[order],
    )
    at = metric @ seen.ranking.k
    assert_allclose(at.per_user(moved), at.per_user(seen)[order], rtol=1e-13, atol=0)


@pytest.mark.parametrize("metric", [Recall(over="held_out"), HitRate(), MRR()], ids=str)
@given(seen=judged_rankings())
def test_rises_with_k(metric: UserMetric, seen: JudgedRanking) -> None:
    values = [(metric @ k).per_user(seen) for k in range(1, seen.ranking.k + 1)]
    assert (np.diff(values, axis=0) >= 0).all()


@given(seen=judged_rankings())
def test_the_two_recalls_differ_only_beyond_the_cutoff(seen: JudgedRanking) -> None:
    k = seen.ranking.k
    few = seen.n_held_out <= k
    reachable, over_all = Recall(k).per_user(seen), Recall(k, over="held_out").per_user(seen)
    assert (reachable[few] == over_all[few]).all()
    assert_allclose(over_all[~few] * seen.n_held_out[~few], reachable[~few] * k)
