from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nearfar.core.errors import DataError, UnknownNameError
from nearfar.evaluation.intervals import mean_interval
from nearfar.evaluation.paired import compare, compare_all, holm
from nearfar.metrics.ndcg import NDCG
from tests.evaluation.cases import RECALL, evaluation

METHODS = ["t", "bootstrap", "permutation"]


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    a = rng.random(50)
    return a, a + rng.normal(0.04, 0.15, size=50)


def test_t_is_scipys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    found = compare(evaluation(a, "a"), evaluation(b, "b"), RECALL, level=0.9)
    theirs = stats.ttest_rel(b, a)
    bounds = theirs.confidence_interval(0.9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-12)
    assert found.effect == pytest.approx(theirs.statistic, rel=1e-12)
    assert found.interval is not None
    assert_allclose([found.interval.low, found.interval.high], [bounds.low, bounds.high])


def test_the_difference_is_b_minus_a() -> None:
    found = compare(
        evaluation([0.1, 0.2, 0.3, 0.4], "old"), evaluation([0.1, 0.5, 0.4, 0.2], "new"), RECALL
    )
    assert (found.a, found.b, found.n_users) == ("old", "new", 4)
    assert found.difference == pytest.approx(0.05)
    assert found.mean_b - found.mean_a == pytest.approx(0.05)
    assert (found.better_share, found.worse_share, found.tied_share) == (0.5, 0.25, 0.25)


@pytest.mark.parametrize("method", METHODS)
def test_swapping_turns_the_sign_and_keeps_p(
    pair: tuple[np.ndarray, np.ndarray], method: str
) -> None:
    a, b = evaluation(pair[0], "a"), evaluation(pair[1], "b")
    there, back = compare(a, b, RECALL, method=method), compare(b, a, RECALL, method=method)
    assert back.difference == -there.difference
    assert back.p == pytest.approx(there.p, abs=1e-12)


@pytest.mark.parametrize("method", ["bootstrap", "permutation"])
def test_resampled_p_is_near_the_t_test(pair: tuple[np.ndarray, np.ndarray], method: str) -> None:
    a, b = evaluation(pair[0], "a"), evaluation(pair[1], "b")
    exact = compare(a, b, RECALL).p
    found = compare(a, b, RECALL, method=method, n_resamples=20_000).p
    assert exact is not None
    assert 0.01 < exact < 0.5  # or nearness would show nothing
    assert found == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize(
    ("method", "by"), [("t", "t"), ("bootstrap", "bootstrap"), ("permutation", "t")]
)
def test_the_interval_is_of_the_gains(
    pair: tuple[np.ndarray, np.ndarray], method: str, by: str
) -> None:
    a, b = pair
    found = compare(evaluation(a, "a"), evaluation(b, "b"), RECALL, method=method, seed=3)
    assert found.interval == mean_interval(b - a, 0.95, by, seed=3)


def test_permutation_is_the_exact_share_of_signs() -> None:
    """All gains 1, 2, 3, 4: of 16 ways to sign them 2 are as extreme as none turned."""
    a, b = evaluation([0.0] * 5, "a"), evaluation([1.0, 2.0, 3.0, 4.0, 0.0], "b")
    found = compare(a, b, RECALL, method="permutation", n_resamples=40_000)
    assert found.p == pytest.approx(2 / 16, abs=0.006)


@pytest.mark.parametrize("method", METHODS)
def test_equal_models_have_p_1(method: str) -> None:
    a = evaluation([0.3, 0.6, 0.1], "a")
    found = compare(a, replace(a, name="b"), RECALL, method=method)
    assert (found.p, found.difference, found.effect, found.tied_share) == (1.0, 0.0, None, 1.0)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == (0, 0)


def test_the_same_gain_for_all_is_beyond_doubt() -> None:
    a = np.random.default_rng(0).random(30)
    found = compare(evaluation(a, "a"), evaluation(a + 0.1, "b"), RECALL)
    assert (found.p, found.effect) == (0.0, None)


@pytest.mark.parametrize("method", METHODS)
def test_one_user_is_no_test(method: str) -> None:
    found = compare(evaluation([0.1], "a"), evaluation([0.4], "b"), RECALL, method=method)
    assert (found.p, found.interval, found.effect) == (None, None, None)
    assert found.difference == pytest.approx(0.3)


@pytest.mark.parametrize("method", ["bootstrap", "permutation"])
def test_the_seed_decides(pair: tuple[np.ndarray, np.ndarray], method: str) -> None:
    a, b = evaluation(pair[0], "a"), evaluation(pair[1], "b")
    first = compare(a, b, RECALL, method=method, seed=1)
    assert compare(a, b, RECALL, method=method, seed=1) == first
    assert compare(a, b, RECALL, method=method, seed=2).p != first.p


@pytest.mark.parametrize("method", METHODS)
def test_equal_models_seldom_seem_different(method: str) -> None:
    rng = np.random.default_rng(9)
    found = 0
    for trial in range(200):
        a, b = evaluation(rng.random(30), "a"), evaluation(rng.random(30), "b")
        p = compare(a, b, RECALL, method=method, seed=trial, n_resamples=200).p
        assert p is not None
        found += p < 0.1
    # 20 expected; 3.5 standard deviations of a binomial are 15
    assert 5 <= found <= 35


def test_refuses_other_users() -> None:
    a = evaluation([0.1, 0.2], "a")
    with pytest.raises(DataError, match="'a' was evaluated on 2 users and 'b' on 3"):
        compare(a, evaluation([0.1, 0.2, 0.3], "b"), RECALL)
    turned = replace(a, name="b", user_ids=a.user_ids.take(np.array([1, 0])))
    with pytest.raises(DataError, match="not the same users in the same order"):
        compare(a, turned, RECALL)
    with pytest.raises(DataError, match="different held-out items"):
        compare(a, evaluation([0.1, 0.2], "b", n_held_out=[1, 2]), RECALL)


def test_refuses_nobody() -> None:
    nobody = evaluation([])
    with pytest.raises(DataError, match="no users"):
        compare(nobody, nobody, RECALL)


def test_refuses_unknown_names() -> None:
    a = evaluation([0.1, 0.2], "a")
    with pytest.raises(UnknownNameError, match="did you mean 'permutation'"):
        compare(a, a, RECALL, method="permutations")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError, match="metric of this evaluation"):
        compare(a, a, NDCG(5))
    with pytest.raises(UnknownNameError, match="baseline 'c'"):
        compare_all({"a": a, "b": a}, "c")


def test_holm_by_hand() -> None:
    """Four tests: .01 x 4, .03 x 3, .04 x 2 lifted to .09, .5 x 1; a cap at 1 for another four."""
    assert_allclose(holm(np.array([0.5, 0.01, 0.04, 0.03])), [0.5, 0.04, 0.09, 0.09])
    assert_allclose(holm(np.array([0.6, 0.6])), [1, 1])
    assert holm(np.array([])).tolist() == []


def test_all_comparisons_are_one_family() -> None:
    rng = np.random.default_rng(2)
    base = rng.random(40)
    found = {
        name: replace(
            evaluation(base + shift * rng.random(40)),
            per_user={
                RECALL: base + shift * rng.random(40),
                NDCG(10): base + shift * rng.normal(size=40),
            },
        )
        for name, shift in [("near", 0.02), ("base", 0.0), ("far", 0.3)]
    }
    pairs = compare_all(found, "base")
    assert [(p.metric, p.a, p.b) for p in pairs] == [
        (RECALL, "base", "near"),
        (RECALL, "base", "far"),
        (NDCG(10), "base", "near"),
        (NDCG(10), "base", "far"),
    ]
    tested = [pair.p for pair in pairs]
    assert_allclose([p.p_holm for p in pairs], holm(np.array(tested, dtype=np.float64)))
    assert [p.metric for p in compare_all(found, "base", [NDCG(10)])] == [NDCG(10)] * 2


def test_is_json() -> None:
    a, b = evaluation([0.1, 0.2], "a"), evaluation([0.4, 0.1], "b")
    plain = json.loads(json.dumps(compare(a, b, RECALL).to_dict(), allow_nan=False))
    assert (plain["metric"], plain["a"], plain["b"]) == ("Recall@20", "a", "b")
    assert plain["difference"] == pytest.approx(0.1)
    assert plain["low"] < 0.1 < plain["high"]
    one = compare(evaluation([0.1], "a"), evaluation([0.2], "b"), RECALL).to_dict()
    assert json.loads(json.dumps(one, allow_nan=False))["p"] is None


@pytest.mark.parametrize("method", ["bootstrap", "permutation"])
def test_a_resampled_p_is_never_0(method: str) -> None:
    """No resample is as extreme as 30 gains of nearly 1, and the data themselves count as one."""
    rng = np.random.default_rng(0)
    a, b = evaluation(np.zeros(30), "a"), evaluation(1 + 0.01 * rng.random(30), "b")
    assert compare(a, b, RECALL, method=method, n_resamples=99).p == 1 / 100


def test_is_printed_as_a_sentence() -> None:
    found = compare(evaluation([0.1, 0.2, 0.3], "old"), evaluation([0.1, 0.4, 0.5], "new"), RECALL)
    assert str(found) == "Recall@20: new minus old +.1333 ±.2868 on 3 users (t, p .184)"
    corrected = compare_all({"old": evaluation([0.1, 0.2]), "new": evaluation([0.2, 0.4])}, "old")[
        0
    ]
    assert "Holm-adjusted" in str(corrected)
