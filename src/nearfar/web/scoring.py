"""A batch of requests scored at once, in the scoring thread, and what carried each score."""

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
"""So many of a history's last items are left out in turn to explain."""

MAX_CARRIERS = 3

Carriers = list[tuple[int, float]]
"""Positions of items, and the share of a recommendation that each carried, largest first."""


@dataclass(frozen=True, eq=False)
class ScoringRequest:
    """A history, and what to recommend for it.

    Args:
        history: positions, each once, in the order given.
        excluded: positions of items that are not candidates, sorted.
        k: how many items.
        builder: builds the list from the best candidates; None for the order of the scores.
        explain: whether to find out what carried each.
    """

    history: Int[np.ndarray, " items"]
    excluded: Int[np.ndarray, " excluded"]
    k: int
    builder: ListBuilder | None = None
    explain: bool = False

    @property
    def cost(self) -> int:
        """Histories to be scored for it."""
        return 1 + (min(len(self.history), MAX_LEFT_OUT) if self.explain else 0)


@dataclass(frozen=True, eq=False)
class ScoringResult:
    """The best items for one history, best first.

    Args:
        items: positions; fewer than asked for where there are no more candidates.
        scores: the model's own.
        carriers: what carried each, where an explanation was asked for.
        by_index: whether the index proposed the candidates; None where the model has none.
    """

    items: Int[np.ndarray, " found"]
    scores: np.ndarray
    carriers: list[Carriers] | None = None
    by_index: bool | None = None


def score_batch(scorer: Scorer, requests: Sequence[ScoringRequest]) -> list[ScoringResult]:
    """Return the results of several requests, scored together.

    Where the model has an index, it ranks what is to be listed by score, as far as it goes.
    """
    n_items = len(scorer.items)
    most = n_items if scorer.max_k is None else min(scorer.max_k, n_items)
    sizes = [min(r.k if r.builder is None else r.builder.n_candidates(r.k), most) for r in requests]
    histories = csr_of_lists([np.sort(r.history) for r in requests], n_items)
    excluded = csr_of_lists([r.excluded for r in requests], n_items)
    ranking, by_index = _ranked(scorer, requests, sizes, histories, excluded)
    results = []
    for row, (request, size) in enumerate(zip(requests, sizes, strict=True)):
        own = Ranking(ranking.items[row : row + 1, :size], ranking.scores[row : row + 1, :size])
        if request.builder is not None:
            rows = slice(row, row + 1)
            own = request.builder.build(own, histories[rows], request.k, excluded=excluded[rows])
        of_index = bool(by_index[row]) if scorer.index_k else None
        results.append(_result(scorer, request, own, of_index))
    return results


def _ranked(
    scorer: Scorer,
    requests: Sequence[ScoringRequest],
    sizes: Sequence[int],
    histories: csr_array,
    excluded: csr_array,
) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
    """The best candidates of each request, and whose were proposed by the index."""
    able = [r.builder is None and n <= scorer.index_k for r, n in zip(requests, sizes, strict=True)]
    by_index = np.array(able, bool)
    if not by_index.any():
        return scorer.top_k(histories, max(sizes), excluded), by_index
    items = np.full((len(requests), max(sizes)), -1, np.int64)
    scores = np.full(items.shape, -np.inf, np.float32)
    quick, slow = np.flatnonzero(by_index), np.flatnonzero(~by_index)
    k = max(sizes[int(row)] for row in quick)
    found, exactly = scorer.top_k_by_index(histories[quick], k, excluded[quick])
    items[quick, :k], scores[quick, :k] = found.items, found.scores
    by_index[quick] = ~exactly
    if len(slow):
        k = max(sizes[int(row)] for row in slow)
        found = scorer.top_k(histories[slow], k, excluded[slow])
        items[slow, :k], scores[slow, :k] = found.items, found.scores
    return Ranking(items, scores), by_index


def _result(
    scorer: Scorer, request: ScoringRequest, ranking: Ranking, by_index: bool | None
) -> ScoringResult:
    present = ranking.items[0] >= 0
    # Copies, or a small answer would keep the whole batch's arrays.
    items, scores = ranking.items[0, present].copy(), ranking.scores[0, present].copy()
    carriers = explain_scores(scorer, request.history, items) if request.explain else None
    return ScoringResult(items, scores, carriers, by_index)


def explain_scores(
    scorer: Scorer, history: Int[np.ndarray, " items"], recommended: Int[np.ndarray, " k"]
) -> list[Carriers]:
    """Return for each recommendation the items without which its score falls most.

    Every item is left out once, all in one batch; how far a score falls is what the item
    carried, and shares are of the sum of all that fell. Scores that rise carry nothing. A history
    of one item carried all: without it there would be none to compare with.

    Args:
        scorer: with the ability "explain".
        history: positions in the order given; the last `MAX_LEFT_OUT` of them are tried.
        recommended: positions.
    """
    if len(history) == 0:
        return [[] for _ in recommended]
    if len(history) == 1:
        return [[(int(history[0]), 1.0)] for _ in recommended]
    tried = history[-MAX_LEFT_OUT:]
    rows = [np.sort(history), *(np.sort(history[history != item]) for item in tried)]
    histories: csr_array = csr_of_lists(rows, len(scorer.items))
    scores = scorer.scores_at(histories, np.tile(recommended, (len(rows), 1)))
    fell: Float[np.ndarray, "tried k"] = np.maximum(scores[0] - scores[1:], 0).astype(np.float64)
    total = fell.sum(0)
    shares = fell / np.where(total > 0, total, 1)
    best = np.argsort(-shares, axis=0, kind="stable")[:MAX_CARRIERS]
    return [
        [(int(tried[i]), float(shares[i, place])) for i in best[:, place] if shares[i, place] > 0]
        for place in range(len(recommended))
    ]


def csr_of_lists(lists: Sequence[np.ndarray], n_items: int) -> csr_array:
    """Return the binary matrix of rows of positions, sorted and without duplicates."""
    indptr = np.zeros(len(lists) + 1, np.int64)
    np.cumsum([len(row) for row in lists], out=indptr[1:])
    indices = np.concatenate(lists) if lists else np.empty(0, np.int64)
    data = np.ones(len(indices), np.float32)
    return csr_array((data, indices, indptr), shape=(len(lists), n_items))
