"""Ranking against a plain sort, ties and gaps included."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.models import top_k
from nearfar.models.constant import Constant
from nearfar.models.top_k import best, by_score, rank


def plain(scores: np.ndarray, k: int) -> np.ndarray:
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    chosen = np.take_along_axis(scores, order, 1)
    return np.where(np.isneginf(chosen), -1, order)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 4))
def test_agrees_with_a_stable_sort_under_many_ties(seed: int, k: int, n_values: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_values, (8, 12)).astype(np.float32)
    scores[rng.random((8, 12)) < 0.3] = -np.inf
    items, values = (t.numpy() for t in rank(torch.from_numpy(scores), k))
    np.testing.assert_array_equal(items, plain(scores, k))
    assert np.isneginf(values[items == -1]).all()


@given(st.integers(0, 10_000), st.integers(1, 30))
def test_by_score_agrees_with_a_stable_sort(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.choice(np.array([-np.inf, -2.5, -1e-30, -0.0, 0.0, 3.0, np.inf], np.float32), k)
    items = rng.choice(1 << 31, k, replace=False)
    found, sorted_values = by_score(torch.from_numpy(items)[None], torch.from_numpy(values)[None])
    order = np.lexsort((items, -values))
    np.testing.assert_array_equal(found[0], np.where(np.isneginf(values), -1, items)[order])
    np.testing.assert_array_equal(sorted_values[0], values[order])


def test_nan_is_never_recommended() -> None:
    items, _ = rank(torch.tensor([[1.0, np.nan, 3.0]]), 3)
    np.testing.assert_array_equal(items.numpy(), [[2, 0, -1]])


def test_large_rows_agree_too() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 5000)).round(2).astype(np.float32)
    items, values = (t.numpy() for t in rank(torch.from_numpy(scores), 100))
    np.testing.assert_array_equal(items, plain(scores, 100))
    np.testing.assert_array_equal(values, np.take_along_axis(scores, items, 1))


@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([7, 300, 1100]))
def test_the_best_in_bfloat16_are_those_of_a_sort(seed: int, k: int, n_items: int) -> None:
    rng = np.random.default_rng(seed)
    scores = torch.from_numpy(rng.normal(size=(6, n_items)).astype(np.float32)).bfloat16()
    scores[0] = 0.0
    scores[0, ::2] = -0.0
    scores[torch.from_numpy(rng.random((6, n_items)) < 0.2)] = float("-inf")
    k = min(k, n_items)
    chosen = best(scores, k)
    assert all(len(set(row)) == k for row in chosen.tolist())
    found = scores.gather(1, chosen).float().sort(1).values
    torch.testing.assert_close(found, scores.float().topk(k).values.sort(1).values)


def test_more_columns_than_an_index_packs(monkeypatch) -> None:
    monkeypatch.setattr(top_k, "PACKED_COLUMNS", 16)
    scores = torch.randn(4, 40, generator=torch.Generator().manual_seed(0)).bfloat16()
    found = scores.gather(1, best(scores, 30)).float().sort(1).values
    torch.testing.assert_close(found, scores.float().topk(30).values.sort(1).values)


def test_items_excluded_for_one_user_stay_candidates_of_another() -> None:
    model = Constant(np.array([5, 4, 3, 2]), 9)
    histories = csr_array(np.array([[1, 0, 0, 0], [1, 0, 0, 0]], np.float32))
    exclude = csr_array(np.array([[0, 1, 0, 0], [0, 0, 0, 0]], np.float32))
    found = model.top_k(histories, 2, exclude=exclude, batch_size=1)
    # In place of the history's own item, which the second user is given again.
    np.testing.assert_array_equal(found.items, [[0, 2], [0, 1]])
