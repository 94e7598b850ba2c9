"""Maximal marginal relevance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nearfar.core.ranges import Share
from nearfar.reranking.reranker import By, ItemFacts, Pool, Reranker, Selection, Similarities

COMPARED_AT_ONCE = 100
"""Items of the histories that candidates are compared with at a time."""


@dataclass(frozen=True)
class MMR(Reranker):
    """Maximal marginal relevance: relevant items that are unlike those before.

    The next item is the one of the largest (1 - d) relevance - d similarity, the similarity being
    that to the nearest item chosen so far.

    Source: Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries, 1998; d is their 1 - lambda.
    Differs: with `history` the items of the history count as chosen from the start, so that
    what is like them comes later.

    Args:
        diversity: d, from 0 (the order of the scores) to 1 (relevance counts nothing).
        by: compare items by what the model holds of them, or by their genres.
        history: whether the items of the history count as chosen.

    Examples:
        >>> plain = nf.recommend(bundle, [[0, 3]], k=4)
        >>> same = nf.recommend(bundle, [[0, 3]], k=4, rerank=nf.reranking.MMR(diversity=0))
        >>> (same.items == plain.items).all()
        np.True_
    """

    diversity: Share = 0.3
    by: By = "model"
    history: bool = False

    def check_facts(self, facts: ItemFacts) -> None:
        facts.compared(self.by, "mmr")

    def select(self, pool: Pool) -> Selection:
        return _MarginalRelevance(self, pool)


class _MarginalRelevance(Selection):
    def __init__(self, settings: MMR, pool: Pool) -> None:
        similarities = pool.facts.compared(settings.by, "mmr")
        self._diversity = settings.diversity
        self._relevance = (1 - settings.diversity) * pool.relevance
        self._alike = similarities(pool.items, pool.items)
        self._nearest = np.zeros(pool.items.shape, np.float32)
        if settings.history:
            self._nearest = nearest_of_history(pool, similarities)

    def values(self) -> Float[np.ndarray, "users n"]:
        return self._relevance - self._diversity * self._nearest

    def add(self, chosen: Int[np.ndarray, " users"]) -> None:
        alike = self._alike[np.arange(len(chosen)), chosen]
        self._nearest = np.maximum(self._nearest, alike)


def nearest_of_history(pool: Pool, similarities: Similarities) -> Float[np.ndarray, "users n"]:
    """Return how similar each candidate is to the nearest item of the history; 0 without any."""
    x = pool.histories
    counts = np.diff(x.indptr)
    nearest = np.full(pool.items.shape, -np.inf, np.float32)
    for start in range(0, int(counts.max(initial=0)), COMPARED_AT_ONCE):
        places = np.arange(start, min(start + COMPARED_AT_ONCE, int(counts.max())))
        present = places < counts[:, None]
        known = np.where(present, x.indices[np.where(present, x.indptr[:-1, None] + places, 0)], -1)
        alike = similarities(pool.items, known.astype(np.int64))
        nearest = np.maximum(nearest, np.where(present[:, None], alike, -np.inf).max(2))
    return np.where(counts[:, None] > 0, nearest, 0)
