"""A model whose lists are re-ranked, to be evaluated as any model is."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.reranking.reranking import ListBuilder


class Ranker(Protocol):
    """What is re-ranked: every fitted model will do."""

    @property
    def popularity(self) -> Int[np.ndarray, " items"]: ...

    @property
    def n_train_users(self) -> int: ...

    def top_k(
        self,
        histories: csr_array,
        k: int,
        *,
        exclude_seen: bool = True,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> Ranking: ...


class Reranked:
    """Ranks as users see it: a list of `k` re-ranked places, then the rest by score.

    Args:
        model: scores.
        builder: re-ranks.
        k: places of the list.
    """

    def __init__(self, model: Ranker, builder: ListBuilder, k: int) -> None:
        self._model = model
        self._builder = builder
        self._k = k
        self.popularity = model.popularity
        self.n_train_users = model.n_train_users

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        """The best k items of every history; places beyond the list are by score."""
        n = self._builder.n_candidates(self._k)
        ranking = self._model.top_k(
            histories, max(k, n), exclude_seen=exclude_seen, deny=self._builder.rules.excluded
        )
        candidates = Ranking(ranking.items[:, :n], ranking.scores[:, :n])
        head = self._builder.build(
            candidates, histories, min(self._k, k), excluded=histories if exclude_seen else None
        )
        if head.k == k:
            return head
        rest = ranking.items >= 0
        for place in range(head.k):
            rest &= ranking.items != head.items[:, place, None]
        items = np.concatenate([head.items, np.where(rest, ranking.items, -1)], 1)
        scores = np.concatenate([head.scores, ranking.scores], 1)
        order = np.argsort(items < 0, axis=1, kind="stable")[:, :k]
        items = np.take_along_axis(items, order, 1)
        scores = np.where(items >= 0, np.take_along_axis(scores, order, 1), -np.inf)
        return Ranking(items, scores)
