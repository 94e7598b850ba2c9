"""Diversity, serendipity, popularity bias, calibration, AUC and sampled metrics.

Each is held to its formula, computed by loops over users, items and pairs, and to cases small
enough to work out by hand.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from nearfar.core.errors import DataError, SettingsError
from nearfar.metrics import sampled
from nearfar.metrics.arp import ARP
from nearfar.metrics.auc import AUC
from nearfar.metrics.ild import ILD
from nearfar.metrics.metric import JudgedRanking, UserMetric, parse_metric
from nearfar.metrics.miscalibration import Miscalibration
from nearfar.metrics.sampled import SampledHitRate, SampledNDCG
from nearfar.metrics.serendipity import Serendipity
from nearfar.metrics.tail_share import TailShare
from tests.metrics.cases import judged

N_USERS, N_ITEMS, N_GENRES = 30, 40, 7


class Case:
    """Histories, held-out items and full rankings drawn at random; some users have no history."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.histories: list[list[int]] = []
        self.held_out: list[list[int]] = []
        rows = []
        for user in range(N_USERS):
            order = rng.permutation(N_ITEMS).tolist()
            n_seen = 0 if user % 7 == 0 else int(rng.integers(1, 15))
            n_wanted = int(rng.integers(1, 12))
            seen, rest = order[:n_seen], order[n_seen:]
            self.histories.append(seen)
            self.held_out.append(rest[:n_wanted])
            candidates = rng.permutation(rest).tolist()
            rows.append(candidates + [-1] * n_seen)
        self.items = np.array(rows)
        self.genres = [
            sorted(rng.permutation(N_GENRES)[: rng.integers(0, 4)].tolist()) for _ in range(N_ITEMS)
        ]
        self.genres[0] = [N_GENRES - 1]
        self.counts = rng.integers(0, 30, N_ITEMS)
        self.seen: JudgedRanking = judged(
            self.items, self.held_out, N_ITEMS, self.counts, 100, self.histories, self.genres
        )

    def top(self, user: int, k: int) -> list[int]:
        return [int(i) for i in self.items[user, :k] if i >= 0]


def ild(case: Case, user: int, k: int) -> float:
    distances = []
    for a, b in combinations(case.top(user, k), 2):
        of_a, of_b = set(case.genres[a]), set(case.genres[b])
        if of_a and of_b:
            distances.append(1 - len(of_a & of_b) / math.sqrt(len(of_a) * len(of_b)))
    return sum(distances) / len(distances) if distances else 0.0


def serendipity(case: Case, user: int, k: int) -> float:
    rest = [i for i in range(N_ITEMS) if i not in case.histories[user]]
    expected = sorted(rest, key=lambda i: (-case.counts[i], i))[:k]
    return len(set(case.top(user, k)) & set(case.held_out[user]) - set(expected)) / k


def arp(case: Case, user: int, k: int) -> float:
    shown = case.top(user, k)
    return sum(case.counts[i] / 100 for i in shown) / len(shown)


def tail_share(case: Case, user: int, k: int) -> float:
    head, total = set(), 0
    for item in sorted(range(N_ITEMS), key=lambda i: -case.counts[i]):
        if total >= 0.8 * case.counts.sum() and case.counts[item] != last:
            break
        head.add(item)
        total, last = total + case.counts[item], case.counts[item]  # noqa: F841
    shown = case.top(user, k)
    return sum(i not in head for i in shown) / len(shown)


def distribution(case: Case, weights: dict[int, float]) -> dict[int, float]:
    found: dict[int, float] = {}
    for item, weight in weights.items():
        of_item = case.genres[item] or [-1]
        for genre in of_item:
            found[genre] = found.get(genre, 0.0) + weight / len(of_item) / sum(weights.values())
    return found


def miscalibration(case: Case, user: int, k: int) -> float:
    history = case.histories[user]
    weights = dict.fromkeys(history, 1.0) if history else dict(enumerate(case.counts.tolist()))
    p = distribution(case, weights)
    q = distribution(case, dict.fromkeys(case.top(user, k), 1.0))
    mixed = {g: 0.99 * q.get(g, 0.0) + 0.01 * p[g] for g in p}
    return sum(p[g] * math.log(p[g] / mixed[g]) for g in p if p[g])


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize(
    ("metric", "formula"),
    [
        (ILD(), ild),
        (Serendipity(), serendipity),
        (ARP(), arp),
        (TailShare(), tail_share),
        (Miscalibration(), miscalibration),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_agrees_with_its_formula(metric: UserMetric, formula, k: int) -> None:
    for seed in (0, 1):
        case = Case(seed)
        expected = [formula(case, user, k) for user in range(N_USERS)]
        assert np.ptp(expected) > 0 or (metric, k) == (ILD(), 1)
        assert_allclose((metric @ k).per_user(case.seen), expected, rtol=1e-10, atol=1e-12)


def test_by_hand() -> None:
    """Genres: items 0 and 1 are of genre 0, 2 of 1, 3 of both, 4 of none."""
    seen = judged(
        [[0, 1], [0, 2], [0, 3], [0, 4], [2, -1]],
        [[0], [2], [3], [4], [0]],
        n_items=5,
        item_counts=[50, 30, 15, 5, 0],
        histories=[[2], [1], [1], [], [0]],
        genres=[[0], [0], [1], [0, 1], []],
    )
    assert_allclose(ILD(2).per_user(seen), [0, 1, 1 - 1 / math.sqrt(2), 0, 0], atol=1e-15)
    assert_allclose(ARP(2).per_user(seen), [0.4, 0.325, 0.275, 0.25, 0.15])
    # 50 + 30 of the 100 interactions are 80 %
    assert_allclose(TailShare(2).per_user(seen), [0, 0.5, 0.5, 0.5, 1])
    # the two most popular unseen: 0 1, then 0 2, 0 2, 0 1, 1 2
    assert_allclose(Serendipity(2).per_user(seen), [0, 0, 0.5, 0.5, 0])
    never, half = -math.log(0.01), -math.log(0.99 / 2 + 0.01)
    found = Miscalibration(2).per_user(seen)
    assert_allclose(found[:2], [never, half])
    assert_allclose(found[2], -math.log(0.99 * 0.75 + 0.01))
    assert_allclose(found[4], never)


def test_the_head_has_all_items_as_popular_as_its_last() -> None:
    seen = judged([[0, 1, 2, 3]], [[0]], n_items=4, item_counts=[70, 10, 10, 10])
    assert TailShare(4).per_user(seen).tolist() == [0]
    assert TailShare(2).per_user(judged([[0, 1]], [[0]], 2, [0, 0])).tolist() == [0]


@pytest.mark.parametrize("seed", [0, 1])
def test_auc_of_the_whole_ranking_is_scikit_learns(seed: int) -> None:
    case = Case(seed)
    expected = []
    for user in range(N_USERS):
        shown = case.top(user, N_ITEMS)
        labels = [int(i in case.held_out[user]) for i in shown]
        expected.append(roc_auc_score(labels, -np.arange(len(shown))))
    assert_allclose(AUC(N_ITEMS).per_user(case.seen), expected, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_auc_at_k_is_the_mean_over_all_orders_of_the_rest(k: int) -> None:
    """Seven items of which one is in the history; wanted are 1, 3 and 4."""
    order, wanted = [3, 0, 1, 2, 4, 5], {1, 3, 4}
    seen = judged([[*order, -1]], [sorted(wanted)], n_items=7, histories=[[6]])
    values = []
    for rest in permutations(order[k:]):
        labels = [i in wanted for i in (*order[:k], *rest)]
        right = sum(a and not b for a, b in combinations(labels, 2))
        values.append(right / 9)
    assert AUC(k).per_user(seen.truncated(k)).tolist() == [pytest.approx(np.mean(values))]


def test_auc_where_nothing_or_everything_is_wanted() -> None:
    seen = judged([[0, 1], [1, 0]], [[], [0, 1]], n_items=2)
    assert_allclose(AUC(2).per_user(seen), [np.nan, 1])


@pytest.mark.parametrize("negatives", [1, 3, 100])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_sampled_metrics_are_the_mean_over_all_samples(monkeypatch, negatives: int, k: int) -> None:
    """Every sample without replacement is looked at; with 100 there is only one, of all."""
    monkeypatch.setattr(sampled, "N_NEGATIVES", negatives)
    order, wanted = [2, 5, 0, 4, 1, 3], [5, 1]
    seen = judged([[*order, -1, -1]], [wanted], n_items=8, histories=[[6, 7]])
    unwanted = [i for i in order if i not in wanted]
    gains, hits = [], []
    for item in wanted:
        for drawn in combinations(unwanted, min(negatives, len(unwanted))):
            place = 1 + sum(order.index(other) < order.index(item) for other in drawn)
            gains.append(1 / math.log2(place + 1) if place <= k else 0.0)
            hits.append(float(place <= k))
    assert SampledNDCG(k).per_user(seen).tolist() == [pytest.approx(np.mean(gains))]
    assert SampledHitRate(k).per_user(seen).tolist() == [pytest.approx(np.mean(hits))]


def test_sampled_metrics_refuse_a_part_of_the_ranking() -> None:
    with pytest.raises(SettingsError, match="needs the ranking of all candidates; this one has 3"):
        SampledNDCG(2).per_user(judged([[0, 1, 2]], [[1]], n_items=12))


def test_what_is_missing_is_named() -> None:
    seen = judged([[0, 1]], [[0]])
    for metric in (ILD(2), Miscalibration(2)):
        with pytest.raises(DataError, match=f"{metric} needs the genres of items"):
            metric.per_user(replace(seen, genres=None))
    for metric in (Serendipity(2), Miscalibration(2), AUC(2)):
        with pytest.raises(DataError, match=f"{metric} needs the fold-in items"):
            metric.per_user(replace(seen, histories=None))
    with pytest.raises(DataError, match="an item has 12 training users of 8"):
        ARP(2).per_user(replace(seen, n_train_users=8))


def test_they_are_found_by_their_names() -> None:
    assert parse_metric("SampledNDCG@10") == SampledNDCG(10)
    assert parse_metric("sampled-hit-rate@5") == SampledHitRate(5)
    assert parse_metric("tailshare@20") == TailShare(20)
    assert str(SampledNDCG(10)) == "SampledNDCG@10"
