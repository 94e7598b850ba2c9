"""Judged rankings for tests: from plain lists, and drawn at random."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.metrics.metric import JudgedRanking, judge


def ranking(items: list[list[int]] | np.ndarray) -> Ranking:
    """A ranking with falling scores, -inf where the item is -1."""
    table = np.asarray(items, np.int64)
    scores = np.broadcast_to(-np.arange(table.shape[1], dtype=np.float32), table.shape).copy()
    scores[table < 0] = -np.inf
    return Ranking(table, scores)


def matrix(held_out: list[list[int]], n_items: int) -> csr_array:
    """Held-out items of each user as a sparse matrix."""
    dense = np.zeros((len(held_out), n_items), np.float32)
    for row, items in zip(dense, held_out, strict=True):
        row[items] = 1
    return csr_array(dense)


def judged(
    items: list[list[int]] | np.ndarray,
    held_out: list[list[int]],
    n_items: int = 12,
    item_counts: list[int] | np.ndarray | None = None,
    n_train_users: int = 100,
    histories: list[list[int]] | None = None,
    genres: list[list[int]] | None = None,
) -> JudgedRanking:
    """Without `histories` nobody has one; without `genres` item i has i mod 3, the last none."""
    counts = np.arange(1, n_items + 1) if item_counts is None else np.asarray(item_counts)
    of_items = [[i % 3] for i in range(n_items - 1)] + [[]] if genres is None else genres
    n_genres = 1 + max((g for each in of_items for g in each), default=0)
    return judge(
        ranking(items),
        matrix(held_out, n_items),
        counts,
        n_train_users,
        histories=matrix(histories or [[] for _ in held_out], n_items),
        genres=matrix(of_items, n_genres),
    )


@st.composite
def judged_rankings(draw: st.DrawFn, *, padded: bool = True) -> JudgedRanking:
    """One to six users, each with held-out items and up to eight places of twelve items."""
    n_users, n_items = draw(st.integers(1, 6)), 12
    k = draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    items = np.array([rng.permutation(n_items)[:k] for _ in range(n_users)])
    if padded:
        for row in items:
            row[rng.integers(0, k + 1) :] = -1
    held_out = [
        rng.permutation(n_items)[: rng.integers(1, n_items + 1)].tolist() for _ in range(n_users)
    ]
    histories = [
        [i for i in range(n_items) if i not in [*row, *wanted] and rng.random() < 0.5]
        for row, wanted in zip(items.tolist(), held_out, strict=True)
    ]
    return judged(items, held_out, n_items, rng.integers(0, 101, n_items), histories=histories)
