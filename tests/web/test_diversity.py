"""Maximal marginal relevance, held to a case worked out by hand."""

import numpy as np

from nearfar.web.scoring import mmr, pool_size


def test_the_second_choice_avoids_the_twin_of_the_first() -> None:
    scores = np.array([1.0, 0.9, 0.5, 0.0])
    alike = np.eye(4)
    alike[0, 1] = alike[1, 0] = 0.95
    new = np.zeros(4)
    assert mmr(scores, alike, new, 3, 0.0).tolist() == [0, 1, 2]
    # After item 0: .5 * .9 - .5 * .95 < 0 for its twin, .5 * .5 for item 2, 0 for item 3.
    assert mmr(scores, alike, new, 4, 0.5).tolist() == [0, 2, 3, 1]


def test_what_is_like_the_history_comes_later() -> None:
    scores = np.array([1.0, 0.5, 0.0])
    familiar = np.array([0.9, 0.0, 0.1])
    assert mmr(scores, np.eye(3), familiar, 3, 1.0).tolist() == [1, 2, 0]


def test_equal_scores_are_no_division_by_zero() -> None:
    assert mmr(np.ones(3), np.eye(3), np.zeros(3), 2, 0.3).tolist() == [0, 1]


def test_the_pool_has_bounds() -> None:
    assert [pool_size(k, n) for k, n in [(5, 1000), (100, 10_000), (5, 20), (30, 10)]] == [
        50, 500, 20, 10
    ]  # fmt: skip
