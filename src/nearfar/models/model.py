"""What every fitted model is: a map from histories to scores, that knows no user ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.errors import DataError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import canonical
from nearfar.models.top_k import rank

BATCH_BYTES = 128 << 20


class Model(ABC):
    """A fitted recommender.

    Args:
        popularity: how many training users met each item.
        n_train_users: how many training users there were.
    """

    def __init__(self, popularity: Int[np.ndarray, " items"], n_train_users: int) -> None:
        self.popularity = np.asarray(popularity, np.int64)
        self.n_train_users = int(n_train_users)

    @property
    def n_items(self) -> int:
        return len(self.popularity)

    def score(self, histories: csr_array) -> Float[np.ndarray, "users items"]:
        """A score for every item, higher is better; any history will do, also an unseen user's.

        An empty history says nothing: it gets the popularity scores, whatever the model.
        The result is dense: mind the number of users, or call `top_k`.

        Raises:
            DataError: the histories have another number of items than the model.
        """
        histories = self._checked(histories)
        scores = self._score(histories)
        empty = np.diff(histories.indptr) == 0
        if empty.any():
            scores[empty] = self.popularity.astype(np.float32)
        return scores

    def top_k(
        self,
        histories: csr_array,
        k: int,
        *,
        exclude_seen: bool = True,
        allow: Int[np.ndarray, " allowed"] | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
        batch_size: int | None = None,
    ) -> Ranking:
        """The best k items of every user, scored batch by batch.

        Args:
            histories: users x items.
            k: how many items; rows are padded with -1 where there are fewer candidates.
            exclude_seen: leave out the items of the history itself.
            allow: only these item positions are candidates.
            deny: these never are.
            batch_size: users scored at once; by default as many as fit 128 MiB of scores.

        Raises:
            DataError: k is below 1, or the histories have another number of items.
        """
        if k < 1:
            raise DataError(f"k is {k}; it must be at least 1")
        histories = self._checked(histories)
        batch_size = batch_size or self.batch_size()
        banned = np.zeros(self.n_items, bool)
        if allow is not None:
            banned[:] = True
            banned[allow] = False
        if deny is not None:
            banned[deny] = True
        n_users = histories.shape[0]
        items = np.full((n_users, k), -1, np.int64)
        scores = np.full((n_users, k), -np.inf, np.float32)
        for start in range(0, n_users, batch_size):
            batch = histories[start : start + batch_size]
            block = self.score(batch)
            if exclude_seen:
                seen_by = np.repeat(np.arange(batch.shape[0]), np.diff(batch.indptr))
                block[seen_by, batch.indices] = -np.inf
            block[:, banned] = -np.inf
            best, best_scores = rank(block, min(k, self.n_items))
            items[start : start + len(best), : best.shape[1]] = best
            scores[start : start + len(best), : best.shape[1]] = best_scores
        return Ranking(items, scores)

    def batch_size(self) -> int:
        """How many users' scores fit 128 MiB."""
        return max(1, min(16_384, BATCH_BYTES // (4 * max(1, self.n_items))))

    def _checked(self, histories: csr_array) -> csr_array:
        if histories.shape[1] != self.n_items:
            raise DataError(
                f"histories over {histories.shape[1]} items for a model of {self.n_items} items"
            )
        return canonical(histories)

    @abstractmethod
    def _score(self, histories: csr_array) -> Float[np.ndarray, "users items"]:
        """Fresh float32 scores; rows of empty histories will be overwritten."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What rebuilds the model: a JSON-able description, and arrays by name.

        Popularity and the number of users are not in it; whoever saves adds them.
        """

    @classmethod
    @abstractmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> Model:
        """The inverse of `state`."""
