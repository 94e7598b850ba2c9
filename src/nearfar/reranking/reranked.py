"""A model with re-ranked lists, with the interface that evaluation needs."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.reranking.reranking import ListBuilder


class Ranker(Protocol):
    """The interface of a model to re-rank; every fitted model has it."""

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
    """A model that ranks `k` re-ranked places first, then all other items by score.

    Args:
        model: the model that scores items.
        builder: the builder of re-ranked lists.
        k: number of re-ranked places.
    """

    def __init__(self, model: Ranker, builder: ListBuilder, k: int) -> None:
        self._model = model
        self._builder = builder
        self._k = k
        self.popularity = model.popularity
        self.n_train_users = model.n_train_users

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        """Return the best k items for every history; places beyond the list are by score."""
        n_candidates = self._builder.n_candidates(self._k)
        ranking = self._model.top_k(
            histories,
            max(k, n_candidates),
            exclude_seen=exclude_seen,
            deny=self._builder.rules.excluded,
        )
        candidates = Ranking(ranking.items[:, :n_candidates], ranking.scores[:, :n_candidates])
        head = self._builder.build(
            candidates, histories, min(self._k, k), excluded=histories if exclude_seen else None
        )
        if head.k == k:
            return head
        outside_head = ranking.items >= 0
        for place in range(head.k):
            outside_head &= ranking.items != head.items[:, place, None]
        items = np.concatenate([head.items, np.where(outside_head, ranking.items, -1)], 1)
        scores = np.concatenate([head.scores, ranking.scores], 1)
        order = np.argsort(items < 0, axis=1, kind="stable")[:, :k]
        items = np.take_along_axis(items, order, 1)
        scores = np.where(items >= 0, np.take_along_axis(scores, order, 1), -np.inf)
        return Ranking(items, scores)
