"""Evaluations and models for tests."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.metrics.metric import Metric
from nearfar.metrics.recall import Recall

RECALL = Recall(20)


def evaluation(
    values: list[float] | np.ndarray,
    name: str = "model",
    metric: Metric = RECALL,
    n_fold_in: list[int] | None = None,
    n_held_out: list[int] | None = None,
) -> Evaluation:
    """An evaluation with these values of one metric, of users u0, u1, ..."""
    n = len(values)
    return Evaluation(
        name=name,
        per_user={metric: np.asarray(values, np.float64)},
        user_ids=Vocabulary([f"u{i}" for i in range(n)]),
        n_fold_in=np.asarray(n_fold_in or [4] * n),
        n_held_out=np.asarray(n_held_out or [1] * n),
    )


class Fixed:
    """Ranks by fixed scores, leaving out what the user has met; notes the batches it was given."""

    def __init__(self, popularity: np.ndarray, n_train_users: int = 100) -> None:
        self.popularity = popularity
        self.n_train_users = n_train_users
        self.batches: list[tuple[int, int]] = []

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        assert exclude_seen
        self.batches.append((histories.shape[0], k))
        scores = np.where(histories.toarray() > 0, -np.inf, self.popularity.astype(float))
        items = np.argsort(-scores, axis=1, kind="stable")
        best = np.take_along_axis(scores, items, 1)
        items = np.where(np.isneginf(best), -1, items)
        missing = ((0, 0), (0, max(0, k - items.shape[1])))
        return Ranking(
            np.pad(items, missing, constant_values=-1)[:, :k],
            np.pad(best, missing, constant_values=-np.inf)[:, :k].astype(np.float32),
        )
