"""Score a batch of requests in the scoring thread, and explain the recommendations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.reranking.reranking import ListBuilder
from nearfar.web.scorers.scorer import Scorer

MAX_LEFT_OUT = 100
"""How many of a history's last items are left out in turn to explain."""

MAX_CARRIERS = 3
"""Items that explain a recommendation, at most."""

Carriers = list[tuple[int, float]]
"""Positions of history items, and each one's share in a recommendation, largest first."""


@dataclass(frozen=True, eq=False)
class ScoringRequest:
    """A history, and what to recommend for it.

    Args:
        history: positions of the items, without duplicates, in the order of the request.
        excluded: sorted positions of items that are not candidates.
        k: how many items.
        builder: builds the list from the best candidates; None to list them by score.
        explain: whether to find the history items that explain each recommendation.
    """

    history: Int[np.ndarray, " items"]
    excluded: Int[np.ndarray, " excluded"]
    k: int
    builder: ListBuilder | None = None
    explain: bool = False

    @property
    def cost(self) -> int:
        """The number of histories to score for this request."""
        return 1 + (min(len(self.history), MAX_LEFT_OUT) if self.explain else 0)


@dataclass(frozen=True, eq=False)
class ScoringResult:
    """The best items for one history, best first.

    Args:
        items: positions; fewer than k if there are not enough candidates.
        scores: the model's scores.
        carriers: the history items that explain each recommendation, if requested.
        by_index: whether the index proposed the candidates; None if the model has no index.
    """

    items: Int[np.ndarray, " items"]
    scores: np.ndarray
    carriers: list[Carriers] | None = None
    by_index: bool | None = None


def score_batch(scorer: Scorer, requests: Sequence[ScoringRequest]) -> list[ScoringResult]:
    """Score several requests together and return their results.

    If the model has an index, it ranks the lists that are not re-ranked and not too long for it.
    """
    n_items = len(scorer.items)
    max_k = n_items if scorer.max_k is None else min(scorer.max_k, n_items)
    n_candidates = [
        min(r.k if r.builder is None else r.builder.n_candidates(r.k), max_k) for r in requests
    ]
    histories = csr_of_lists([np.sort(r.history) for r in requests], n_items)
    excluded = csr_of_lists([r.excluded for r in requests], n_items)
    ranking, by_index = _rank(scorer, requests, n_candidates, histories, excluded)
    results = []
    for row, (request, n) in enumerate(zip(requests, n_candidates, strict=True)):
        rows = slice(row, row + 1)
        user_ranking = Ranking(ranking.items[rows, :n], ranking.scores[rows, :n])
        if request.builder is not None:
            user_ranking = request.builder.build(
                user_ranking, histories[rows], request.k, excluded=excluded[rows]
            )
        used_index = bool(by_index[row]) if scorer.index_k else None
        results.append(_result(scorer, request, user_ranking, used_index))
    return results


def _rank(
    scorer: Scorer,
    requests: Sequence[ScoringRequest],
    n_candidates: Sequence[int],
    histories: csr_array,
    excluded: csr_array,
) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
    """Return the best candidates per request, and for which requests the index proposed them."""
    by_index = np.array(
        [
            r.builder is None and n <= scorer.index_k
            for r, n in zip(requests, n_candidates, strict=True)
        ],
        bool,
    )
    if not by_index.any():
        return scorer.top_k(histories, max(n_candidates), excluded), by_index
    items = np.full((len(requests), max(n_candidates)), -1, np.int64)
    scores = np.full(items.shape, -np.inf, np.float32)
    index_rows, exact_rows = np.flatnonzero(by_index), np.flatnonzero(~by_index)
    k = max(n_candidates[int(row)] for row in index_rows)
    ranking, is_exact = scorer.top_k_by_index(histories[index_rows], k, excluded[index_rows])
    items[index_rows, :k], scores[index_rows, :k] = ranking.items, ranking.scores
    by_index[index_rows] = ~is_exact
    if len(exact_rows):
        k = max(n_candidates[int(row)] for row in exact_rows)
        ranking = scorer.top_k(histories[exact_rows], k, excluded[exact_rows])
        items[exact_rows, :k], scores[exact_rows, :k] = ranking.items, ranking.scores
    return Ranking(items, scores), by_index


def _result(
    scorer: Scorer, request: ScoringRequest, ranking: Ranking, by_index: bool | None
) -> ScoringResult:
    present = ranking.items[0] >= 0
    # Without the copies, a small result would keep the arrays of the whole batch in memory.
    items, scores = ranking.items[0, present].copy(), ranking.scores[0, present].copy()
    carriers = explain_scores(scorer, request.history, items) if request.explain else None
    return ScoringResult(items, scores, carriers, by_index)


def explain_scores(
    scorer: Scorer, history: Int[np.ndarray, " items"], recommended: Int[np.ndarray, " k"]
) -> list[Carriers]:
    """Return for each recommendation the history items without which its score falls most.

    Every history item is left out once, all in one batch. An item's share is the fall of the score
    without it, divided by the sum of all falls; an item without which the score rises has no share.
    A history of one item has the whole share, as an empty history has no score to compare with.

    Args:
        scorer: a scorer with the ability "explain".
        history: positions in the order of the request; only the last `MAX_LEFT_OUT` are left out.
        recommended: positions of the recommended items.
    """
    if len(history) == 0:
        return [[] for _ in recommended]
    if len(history) == 1:
        return [[(int(history[0]), 1.0)] for _ in recommended]
    left_out = history[-MAX_LEFT_OUT:]
    rows = [np.sort(history), *(np.sort(history[history != item]) for item in left_out)]
    histories: csr_array = csr_of_lists(rows, len(scorer.items))
    scores = scorer.scores_at(histories, np.tile(recommended, (len(rows), 1)))
    falls: Float[np.ndarray, "left_out k"] = np.maximum(scores[0] - scores[1:], 0).astype(
        np.float64
    )
    total = falls.sum(0)
    shares = falls / np.where(total > 0, total, 1)
    best = np.argsort(-shares, axis=0, kind="stable")[:MAX_CARRIERS]
    return [
        [(int(left_out[i]), float(shares[i, rank])) for i in best[:, rank] if shares[i, rank] > 0]
        for rank in range(len(recommended))
    ]


def csr_of_lists(lists: Sequence[np.ndarray], n_items: int) -> csr_array:
    """Return the binary matrix with these rows of positions, sorted and without duplicates."""
    indptr = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(row) for row in lists], out=indptr[1:])
    indices = np.concatenate(lists) if lists else np.empty(0, np.int64)
    data = np.ones(len(indices), np.float32)
    return csr_array((data, indices, indptr), shape=(len(lists), n_items))
