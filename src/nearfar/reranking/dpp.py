"""Determinantal point process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nearfar.core.ranges import Share
from nearfar.reranking.reranker import By, ItemFacts, Pool, Reranker, Selection

LEAST = 1e-6
"""What a candidate adds to the determinant is cut here: it is alike to what is chosen."""


@dataclass(frozen=True)
class DPP(Reranker):
    """Determinantal point process: the list as a whole spans as much as it can.

    Greedily maximises (1 - d) sum_i relevance_i + d log det S over the items of the list, S their
    similarities, (1 + cosine) / 2. An item counts as redundant where all before it together
    explain it, not only the nearest one as in MMR. A step is O(candidates x places).

    Source: Chen, Zhang and Zhou, Fast Greedy MAP Inference for Determinantal Point Process to
    Improve Recommendation Diversity, 2018, Algorithm 1 and Eq. 9; d is their 1 - theta.

    Args:
        diversity: d, from 0 (the order of the scores) to 1 (relevance counts nothing).
        by: compare items by what the model holds of them, or by their genres.

    Examples:
        >>> nf.recommend(bundle, [[0, 3]], k=4, rerank=nf.reranking.DPP(0.5)).k
        4
    """

    diversity: Share = 0.3
    by: By = "model"

    def check_facts(self, facts: ItemFacts) -> None:
        facts.compared(self.by, "dpp")

    def select(self, pool: Pool) -> Selection:
        return _GreedyDeterminant(self, pool)


class _GreedyDeterminant(Selection):
    """Notation: `_left` = d_i^2, `_rows` = c_i, one column per item chosen."""

    def __init__(self, settings: DPP, pool: Pool) -> None:
        cosines = pool.facts.compared(settings.by, "dpp")(pool.items, pool.items)
        self._similar = (1 + cosines.astype(np.float64)) / 2
        n = pool.items.shape[1]
        self._similar[:, np.arange(n), np.arange(n)] = 1
        self._relevance = (1 - settings.diversity) * pool.relevance
        self._diversity = settings.diversity
        self._left = np.ones(pool.items.shape)
        self._rows: list[Float[np.ndarray, "users n"]] = []

    def values(self) -> Float[np.ndarray, "users n"]:
        return self._relevance + self._diversity * np.log(np.maximum(self._left, LEAST))

    def add(self, chosen: Int[np.ndarray, " users"]) -> None:
        users = np.arange(len(chosen))
        residual = self._similar[users, chosen].copy()
        for row in self._rows:
            residual -= row[users, chosen, None] * row
        row = residual / np.sqrt(np.maximum(self._left[users, chosen], LEAST))[:, None]
        self._rows.append(row)
        self._left = self._left - row**2
