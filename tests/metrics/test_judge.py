from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.metrics.judged_ranking import joined
from nearfar.metrics.metric import JudgedRanking, judge
from tests.metrics.cases import judged, judged_rankings, matrix, ranking


def test_hits_by_hand() -> None:
    seen = judged([[2, 0, 5], [11, 1, -1], [4, 3, 2]], [[0, 5], [1], []])
    assert seen.hits.tolist() == [[False, True, True], [False, True, False], [False] * 3]
    assert seen.n_held_out.tolist() == [2, 1, 0]


def test_a_padded_place_is_not_the_last_item_of_the_user_before() -> None:
    seen = judged([[0, 1], [3, -1]], [[11], [11]])
    assert not seen.hits.any()


def test_the_last_item_of_the_last_user_can_be_a_hit() -> None:
    assert judged([[11], [11]], [[0], [11]]).hits.tolist() == [[False], [True]]


def test_nothing_held_out_is_no_hit() -> None:
    assert not judged([[0, 1]], [[]]).hits.any()


@given(judged_rankings())
def test_agrees_with_sets(seen: JudgedRanking) -> None:
    """The same hits as one look-up a place in a dictionary of sets."""
    rng = np.random.default_rng(0)
    n_users, n_items = seen.n_users, seen.n_items
    wanted = {u: set(rng.permutation(n_items)[: rng.integers(0, n_items)]) for u in range(n_users)}
    held_out = matrix([sorted(wanted[u]) for u in range(n_users)], n_items)
    again = judge(seen.ranking, held_out, seen.item_counts, seen.n_train_users)
    for u in range(n_users):
        assert again.n_held_out[u] == len(wanted[u])
        for r, item in enumerate(seen.ranking.items[u]):
            assert again.hits[u, r] == (item in wanted[u])


def test_unsorted_columns_and_stored_zeros_do_not_matter() -> None:
    data, columns, starts = np.array([1.0, 1.0, 0.0]), np.array([7, 2, 4]), np.array([0, 3])
    held_out = csr_array((data, columns, starts), shape=(1, 9))
    seen = judge(ranking([[4, 2, 7]]), held_out, np.ones(9, int), 10)
    assert seen.hits.tolist() == [[False, True, True]]
    assert seen.n_held_out.tolist() == [2]


def test_more_cells_than_32_bits_count() -> None:
    """User u is to find item u and is shown it second: rows times columns is beyond 2^32."""
    n = 70_000
    diagonal = np.arange(n)
    held_out = csr_array((np.ones(n, np.float32), (diagonal, diagonal)), shape=(n, n))
    items = np.stack([(diagonal + 1) % n, diagonal], axis=1)
    tracemalloc.start()
    seen = judge(ranking(items), held_out, np.ones(n, np.int64), 10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen.hits[:, 1].all()
    assert not seen.hits[:, 0].any()
    assert peak < 30e6  # users x items would be 4.9 GB at one byte a cell


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([[0, 3, 0]], "names item 0 twice"),
        ([[0, 12, 1]], "there are 12 items"),
        ([[-2, 1, 0]], "from -2"),
        ([[0], [1]], "a ranking for 2 users"),
    ],
)
def test_refuses_rankings_that_cannot_be(items: list[list[int]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        judged(items, [[0]])


def test_refuses_counts_of_other_items() -> None:
    with pytest.raises(DataError, match="training counts of 3 items"):
        judged([[0]], [[0]], item_counts=[1, 2, 3])


def test_first_cuts_and_refuses_to_go_deeper() -> None:
    seen = judged([[2, 0, 5]], [[0, 5]])
    assert seen.truncated(2).hits.tolist() == [[False, True]]
    assert seen.truncated(2).ranking.items.tolist() == [[2, 0]]
    with pytest.raises(SettingsError, match="cutoff of 4 on a ranking of 3"):
        seen.truncated(4)


def test_joined_parts_are_the_whole() -> None:
    whole = judged([[2, 0], [1, -1], [4, 3]], [[0], [1, 2], [5]])
    parts = [judged([[2, 0]], [[0]]), judged([[1, -1], [4, 3]], [[1, 2], [5]])]
    again = joined(parts)
    assert again.hits.tolist() == whole.hits.tolist()
    assert again.n_held_out.tolist() == whole.n_held_out.tolist()
    assert again.ranking.items.tolist() == whole.ranking.items.tolist()
    assert again.ranking.scores.tolist() == whole.ranking.scores.tolist()
