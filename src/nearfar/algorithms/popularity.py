"""Popularity."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.constant import Constant
from nearfar.train.run import Run


@dataclass(frozen=True)
class Popularity(Algorithm):
    """Rank items by the number of training users who interacted with them, the same for all users.

    Examples:
        >>> model = nf.Popularity().fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.87
    """

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Constant:
        check_not_empty(train)
        return Constant(train.item_counts, train.n_users)
