"""Novelty: how surprising the recommended items are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import DataError
from nearfar.metrics.metric import JudgedRanking, UserMetric

UNSEEN_COUNT = 0.5
"""The count of an item without training users: one bit rarer than an item with one."""


@dataclass(frozen=True)
class Novelty(UserMetric):
    """Novelty@k: the mean self-information -log2(c_i / U) of the top k, in bits.

    Notation: c_i, training users of item i (0 counts as one half, to stay finite); U, training
    users.
    Source: Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender
    systems", surprisal.
    Differs: c_i / U is a share of users, at most 1 per item; Vargas and Castells 2011 also use the
    share of interactions, which sums to 1 over items. A user with no candidates has 0.

    Raises:
        DataError: an item has more training users than there are in all.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Novelty(5)]).mean("Novelty@5"), 2)
        1.05
    """

    unit: ClassVar[str] = "bits"

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        items = judged.truncated(self.depth).ranking.items
        max_count = judged.item_counts.max(initial=0)
        if max_count > judged.n_train_users:
            raise DataError(
                f"an item has {max_count} training users of {judged.n_train_users} in all; give "
                "item_counts and n_train_users of the same training data"
            )
        counts = np.maximum(judged.item_counts, UNSEEN_COUNT)
        bits = np.log2(max(judged.n_train_users, 1)) - np.log2(counts)
        is_item = items >= 0
        total = np.where(is_item, bits[np.maximum(items, 0)], 0.0).sum(axis=1)
        return total / np.maximum(is_item.sum(axis=1), 1)
