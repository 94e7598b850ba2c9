"""Re-rankers against cases worked out by hand and against their objectives by brute force."""

import numpy as np
import pytest

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.ranking import Ranking
from nearfar.reranking import DPP, MMR, Calibrated, Reranking
from nearfar.reranking.reranker import ItemFacts
from tests.reranking.cases import GENRES, built, facts, histories, ranking, with_genres


def similar(alike: np.ndarray) -> ItemFacts:
    known = facts(np.eye(len(alike)))
    return ItemFacts(known.items, lambda rows, columns: alike[rows[:, :, None], columns[:, None]])


def test_mmr_avoids_the_twin_of_the_first() -> None:
    alike = np.eye(4)
    alike[0, 1] = alike[1, 0] = 0.95
    candidates = ranking([1.0, 0.9, 0.5, 0.0])
    assert built(MMR(0.0), similar(alike), candidates, 3) == [[0, 1, 2]]
    # After item 0: .5 * .9 - .5 * .95 < 0 for its twin, .5 * .5 for item 2, 0 for item 3.
    assert built(MMR(0.5), similar(alike), candidates, 4) == [[0, 2, 3, 1]]


def test_mmr_puts_what_is_like_the_history_later() -> None:
    alike = np.eye(5)
    alike[0, 4] = alike[4, 0] = 0.9
    alike[2, 4] = alike[4, 2] = 0.1
    candidates = ranking([1.0, 0.5, 0.0, -np.inf, -np.inf], [1.0, 0.5, 0.0, -np.inf, -np.inf])
    x = histories(5, [4], [])
    with_history = built(MMR(1.0, history=True), similar(alike), candidates, 3, x)
    assert with_history == [[1, 2, 0], [0, 1, 2]]
    assert built(MMR(1.0), similar(alike), candidates, 3, x) == [[0, 1, 2]] * 2


def test_a_long_history_is_compared_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearfar.reranking.mmr.BATCH_ITEMS", 2)
    alike = np.eye(8)
    alike[0, 7] = alike[7, 0] = 0.9
    candidates = ranking([1.0, 0.5, *[-np.inf] * 6])
    x = histories(8, [2, 3, 4, 5, 7])
    assert built(MMR(1.0, history=True), similar(alike), candidates, 2, x) == [[1, 0]]


@pytest.mark.parametrize("diversity", [0.0, 0.2, 0.5, 1.0])
def test_dpp_is_the_greedy_maximum_of_its_objective(diversity: float) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(9, 4))
    scores = rng.normal(size=9)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    s = (1 + units @ units.T) / 2
    r = (scores - scores.min()) / (scores.max() - scores.min())

    def objective(chosen: list[int]) -> float:
        determinant = np.linalg.slogdet(s[np.ix_(chosen, chosen)])[1]
        return (1 - diversity) * r[chosen].sum() + diversity * determinant

    chosen: list[int] = []
    for _ in range(4):
        rest = [i for i in np.argsort(-scores) if i not in chosen]
        chosen.append(int(max(rest, key=lambda i: round(objective([*chosen, i]), 9))))
    candidates = ranking(scores.tolist())
    assert built(DPP(diversity), facts(vectors), candidates, 4) == [chosen]


def test_dpp_goes_on_where_all_that_is_left_is_redundant() -> None:
    twins = facts(np.array([[1.0, 0], [1, 0], [1, 0], [0, 1]]))
    assert built(DPP(0.5), twins, ranking([4.0, 3, 2, 1]), 4) == [[0, 3, 1, 2]]


@pytest.mark.parametrize("calibration", [0.0, 0.3, 0.9])
def test_calibrated_is_the_greedy_maximum_of_its_objective(calibration: float) -> None:
    scores = np.array([8.0, 7, 6, 5, 4, 3, 2, 1])
    shares = np.array([[g.count(n) / max(len(g), 1) for n in "ABC"] for g in GENRES])
    history = [2, 3, 6]
    p = shares[history].sum(0) / 3
    r = (scores - 1) / 7

    def objective(chosen: list[int]) -> float:
        q = shares[chosen].sum(0)
        q = 0.99 * q / max(q.sum(), 1e-12) + 0.01 * p
        kl = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)
        return (1 - calibration) * r[chosen].sum() - calibration * kl

    chosen: list[int] = []
    for _ in range(5):
        rest = [i for i in range(8) if i not in chosen]
        chosen.append(max(rest, key=lambda i: round(objective([*chosen, i]), 9)))
    x = histories(8, history)
    found = built(Calibrated(calibration), with_genres(), ranking(scores.tolist()), 5, x)
    assert found == [chosen]
    assert (chosen == list(range(5))) == (calibration == 0)


def test_calibrated_leaves_users_without_genres_as_they_are() -> None:
    candidates = ranking([8.0, 7, 6, 5, 4, 3, 2, 1], [1.0, 2, 3, 4, 5, 6, 7, 8])
    x = histories(8, [5], [])
    found = built(Calibrated(1.0), with_genres(), candidates, 3, x)
    assert found == [[0, 1, 2], [7, 6, 5]]


@pytest.mark.parametrize("rerank", ["mmr by=genres diversity=0.4 history=true", "calibrated"])
def test_a_batch_is_each_user_alone(rerank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    scores = rng.integers(3, size=(6, 8)).astype(float)  # with ties
    scores[2, 3:] = -np.inf
    x = histories(8, *[list(rng.choice(8, n, replace=False)) for n in (0, 1, 2, 3, 4, 8)])
    together = built(rerank, with_genres(), ranking(*scores.tolist()), 5, x)
    alone = [built(rerank, with_genres(), ranking(row), 5, x[[n]])[0]
             for n, row in enumerate(scores.tolist())]  # fmt: skip
    assert together == alone
    monkeypatch.setattr("nearfar.reranking.reranking.BLOCK_BYTES", 1)
    assert built(rerank, with_genres(), ranking(*scores.tolist()), 5, x) == together
    assert all(sorted(r, key=lambda i: i < 0) == r for r in together)
    assert together[2][3:] == [-1, -1]


def test_equal_values_go_to_the_lower_position_and_no_score_is_lost() -> None:
    found = Reranking(MMR(0.3)).over(facts(np.ones((4, 1))))
    built_ = found.build(ranking([1.0, 1, 1, 1]), histories(4, []), 3)
    assert built_.items.tolist() == [[0, 1, 2]]
    assert built_.scores.tolist() == [[1, 1, 1]]
    assert isinstance(built_, Ranking)


def test_the_pool_has_bounds() -> None:
    def n_candidates(k: int, n_items: int, per_place: int = 10) -> int:
        known = facts(np.ones((n_items, 1)))
        return Reranking(candidates=per_place).over(known).n_candidates(k)

    assert [n_candidates(5, 1000), n_candidates(100, 2000), n_candidates(5, 20)] == [50, 500, 20]
    assert [n_candidates(30, 10), n_candidates(600, 2000), n_candidates(5, 99, 2)] == [10, 600, 10]


def test_what_is_missing_or_misspelt_is_told() -> None:
    with pytest.raises(UnknownNameError, match=r"mrr.*did you mean 'mmr'"):
        Reranking("mrr")
    with pytest.raises(SettingsError, match=r"mmr\.diversity is 2"):
        Reranking("mmr diversity=2")
    with pytest.raises(UnknownNameError, match="diversty"):
        Reranking("mmr diversty=0.2")
    with pytest.raises(SettingsError, match="give by=genres"):
        Reranking("dpp").over(with_genres())
    with pytest.raises(SettingsError, match=r"needs genres.*--item-details"):
        Reranking("calibrated").over(facts(np.eye(3)))
    with pytest.raises(SettingsError, match="candidates is 0"):
        Reranking("mmr", candidates=0)
