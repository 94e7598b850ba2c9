"""Maximal marginal relevance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nearfar.core.ranges import Share
from nearfar.reranking.reranker import By, ItemFacts, Pool, Reranker, Selection, Similarities

BATCH_ITEMS = 100
"""Items of each history compared with the candidates per batch."""


@dataclass(frozen=True)
class MMR(Reranker):
    """Maximal marginal relevance: relevant items that differ from the items before.

    The next item has the largest (1 - d) relevance - d similarity, where the similarity is to the
    nearest item selected so far.

    Source: Carbonell and Goldstein, The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries, 1998; d is their 1 - lambda.
    Differs: with `history` the items of the history count as selected from the start, so that
    similar items come later.

    Args:
        diversity: d, from 0 (the order of the scores) to 1 (relevance is ignored).
        by: compare items by the model's item vectors ("model") or by genres ("genres").
        history: whether the items of the history count as selected.

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
        self._similarities = similarities(pool.items, pool.items)
        self._max_similarity = np.zeros(pool.items.shape, np.float32)
        if settings.history:
            self._max_similarity = nearest_of_history(pool, similarities)

    def values(self) -> Float[np.ndarray, "users n"]:
        return self._relevance - self._diversity * self._max_similarity

    def add(self, columns: Int[np.ndarray, " users"]) -> None:
        similarity = self._similarities[np.arange(len(columns)), columns]
        self._max_similarity = np.maximum(self._max_similarity, similarity)


def nearest_of_history(pool: Pool, similarities: Similarities) -> Float[np.ndarray, "users n"]:
    """Return each candidate's similarity to the nearest item of the history; 0 without history."""
    x = pool.histories
    counts = np.diff(x.indptr)
    nearest = np.full(pool.items.shape, -np.inf, np.float32)
    for start in range(0, int(counts.max(initial=0)), BATCH_ITEMS):
        places = np.arange(start, min(start + BATCH_ITEMS, int(counts.max())))
        present = places < counts[:, None]
        items = np.where(present, x.indices[np.where(present, x.indptr[:-1, None] + places, 0)], -1)
        similarity = similarities(pool.items, items.astype(np.int64))
        nearest = np.maximum(nearest, np.where(present[:, None], similarity, -np.inf).max(2))
    return np.where(counts[:, None] > 0, nearest, 0)
