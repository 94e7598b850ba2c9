"""Every metric on rankings small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nearfar.core.errors import DataError
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.gini import Gini
from nearfar.metrics.hit_rate import HitRate
from nearfar.metrics.map import MAP
from nearfar.metrics.metric import UserMetric
from nearfar.metrics.mrr import MRR
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.novelty import Novelty
from nearfar.metrics.precision import Precision
from nearfar.metrics.recall import Recall
from tests.metrics.cases import judged

# hits of user 0: no yes no yes; she has 2 of 3 held-out items in four places.
# user 1: nothing found; user 2: both, at the top; user 3: five held out, one found in place 3.
SEEN = judged(
    [[9, 0, 8, 1], [4, 5, 6, 7], [2, 3, -1, -1], [11, 10, 0, 9]],
    [[0, 1, 2], [0], [2, 3], [0, 1, 2, 3, 4]],
)
LOG3, LOG5 = math.log2(3), math.log2(5)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (Recall(4), [2 / 3, 0, 1, 1 / 4]),
        (Recall(2), [1 / 2, 0, 1, 0]),
        (Recall(4, over="held_out"), [2 / 3, 0, 1, 1 / 5]),
        (Recall(2, over="held_out"), [1 / 3, 0, 1, 0]),
        (Precision(4), [1 / 2, 0, 1 / 2, 1 / 4]),
        (HitRate(2), [1, 0, 1, 0]),
        (HitRate(4), [1, 0, 1, 1]),
        (MRR(4), [1 / 2, 0, 1, 1 / 3]),
        (MRR(2), [1 / 2, 0, 1, 0]),
        (MAP(4), [(1 / 2 + 2 / 4) / 3, 0, 1, (1 / 3) / 4]),
        (MAP(4, over="held_out"), [(1 / 2 + 2 / 4) / 3, 0, 1, (1 / 3) / 5]),
        (
            NDCG(4),
            [
                (1 / LOG3 + 1 / LOG5) / (1 + 1 / LOG3 + 1 / 2),
                0,
                1,
                (1 / 2) / (1 + 1 / LOG3 + 1 / 2 + 1 / LOG5),
            ],
        ),
        (NDCG(2), [(1 / LOG3) / (1 + 1 / LOG3), 0, 1, 0]),
    ],
    ids=lambda value: str(value) if isinstance(value, UserMetric) else "",
)
def test_per_user(metric: UserMetric, expected: list[float]) -> None:
    assert_allclose(metric.per_user(SEEN), expected, rtol=1e-15)
    assert metric.overall(SEEN) == pytest.approx(np.mean(expected), rel=1e-15)


def test_users_without_held_out_items() -> None:
    """What divides by |H| is undefined; what does not is simply 0."""
    nothing = judged([[0, 1]], [[]])
    for metric in (Recall(2), NDCG(2), MAP(2)):
        assert np.isnan(metric.per_user(nothing)).all()
    for metric in (Precision(2), HitRate(2), MRR(2)):
        assert metric.per_user(nothing).tolist() == [0]


def test_coverage_counts_items_once_and_padding_never() -> None:
    seen = judged([[0, 1], [1, -1], [1, 2]], [[0], [0], [0]], n_items=10)
    assert Coverage(2).overall(seen) == 0.3
    assert Coverage(1).overall(seen) == 0.2


def test_gini_by_hand() -> None:
    equal = judged([[0, 1], [2, 3]], [[0], [0]], n_items=4)
    assert Gini(2).overall(equal) == 0
    always_one = judged([[3]] * 5, [[0]] * 5, n_items=4)
    assert Gini(1).overall(always_one) == 3 / 4
    # counts 0, 0, 1, 3: the mean absolute difference of two, 22 / 16, over twice the mean of 1
    uneven = judged([[3], [3], [2], [3]], [[0]] * 4, n_items=4)
    counts = np.array([0, 0, 1, 3])
    halved = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert Gini(1).overall(uneven) == pytest.approx(halved)
    assert halved == pytest.approx(0.625)
    assert Gini(1).overall(judged([[-1]], [[0]])) == 0


def test_novelty_in_bits() -> None:
    seen = judged(
        [[0, 1], [2, 3], [1, -1], [-1, -1]],
        [[0]] * 4,
        n_items=4,
        item_counts=[64, 32, 1, 0],
        n_train_users=64,
    )
    # shares 1, 1/2, 1/64, and half a user's for the item that nobody met
    assert_allclose(Novelty(2).per_user(seen), [0.5, 6.5, 1.0, 0.0], atol=1e-12)
    assert Novelty(1).per_user(seen).tolist() == [0, 6, 1, 0]


@pytest.mark.parametrize(("n_train_users", "bits"), [(1, [0.0, 1.0]), (0, [1.0, 1.0])])
def test_novelty_of_one_training_user_or_none(n_train_users: int, bits: list[float]) -> None:
    counts = [n_train_users, 0]
    seen = judged([[0], [1]], [[0], [0]], 2, counts, n_train_users=n_train_users)
    assert Novelty(1).per_user(seen).tolist() == bits


def test_novelty_refuses_counts_beyond_the_users() -> None:
    with pytest.raises(DataError, match="an item has 9 training users of 8 in all"):
        Novelty(1).per_user(judged([[0]], [[0]], 2, [9, 1], n_train_users=8))
