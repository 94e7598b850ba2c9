"""Determinantal point process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from nearfar.core.ranges import Share
from nearfar.reranking.reranker import By, ItemFacts, Pool, Reranker, Selection

MIN_RESIDUAL = 1e-6
"""Least factor that a candidate adds to the determinant, so that its logarithm is finite."""


@dataclass(frozen=True)
class DPP(Reranker):
    """Determinantal point process: diversity of the list as a whole.

    It greedily maximises (1 - d) sum_i relevance_i + d log det S over the items of the list, with
    S their similarities, (1 + cosine) / 2. An item is redundant if all items before it together
    explain it, not only the nearest one as in MMR. A step is O(candidates x places).

    Source: Chen, Zhang and Zhou, Fast Greedy MAP Inference for Determinantal Point Process to
    Improve Recommendation Diversity, 2018, Algorithm 1 and Eq. 9; d is their 1 - theta.

    Args:
        diversity: d, from 0 (the order of the scores) to 1 (relevance is ignored).
        by: compare items by the model's item vectors ("model") or by genres ("genres").

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
    """Notation: `_residuals` = d_i^2; `_factors` = c_i, one entry per selected item."""

    def __init__(self, settings: DPP, pool: Pool) -> None:
        cosines = pool.facts.compared(settings.by, "dpp")(pool.items, pool.items)
        self._similarities = (1 + cosines.astype(np.float64)) / 2
        n = pool.items.shape[1]
        self._similarities[:, np.arange(n), np.arange(n)] = 1
        self._relevance = (1 - settings.diversity) * pool.relevance
        self._diversity = settings.diversity
        self._residuals = np.ones(pool.items.shape)
        self._factors: list[Float[np.ndarray, "users n"]] = []

    def values(self) -> Float[np.ndarray, "users n"]:
        return self._relevance + self._diversity * np.log(np.maximum(self._residuals, MIN_RESIDUAL))

    def add(self, columns: Int[np.ndarray, " users"]) -> None:
        users = np.arange(len(columns))
        residual = self._similarities[users, columns].copy()
        for factor in self._factors:
            residual -= factor[users, columns, None] * factor
        factor = (
            residual / np.sqrt(np.maximum(self._residuals[users, columns], MIN_RESIDUAL))[:, None]
        )
        self._factors.append(factor)
        self._residuals = self._residuals - factor**2
