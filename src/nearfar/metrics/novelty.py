"""Novelty: how surprising the shown items are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import DataError
from nearfar.metrics.metric import Judged, UserMetric

UNSEEN_COUNT = 0.5
"""The count of an item without training users: one bit rarer than an item with one."""


@dataclass(frozen=True)
class Novelty(UserMetric):
    """Novelty@k: the mean self-information -log2(c_i / U) of the shown items, in bits.

    Notation: c_i, training users of item i (0 counts as one half, to stay finite); U, training
    users.
    Source: Zhou et al. 2010, "Solving the apparent diversity-accuracy dilemma of recommender
    systems", surprisal.
    Differs: the share is of users, at most 1 an item; Vargas and Castells 2011 also use the
    share of interactions, which adds up to 1 over items. A user with no candidates has 0.

    Raises:
        DataError: an item has more training users than there were.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Novelty(5)]).mean("Novelty@5"), 2)
        1.06
    """

    unit: ClassVar[str] = "bits"

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        items = judged.first(self.depth).ranking.items
        most = judged.item_counts.max(initial=0)
        if most > judged.n_train_users:
            raise DataError(f"an item of {most} training users, of {judged.n_train_users} in all")
        counts = np.maximum(judged.item_counts, UNSEEN_COUNT)
        bits = np.log2(max(judged.n_train_users, 1)) - np.log2(counts)
        shown = items >= 0
        total = np.where(shown, bits[np.maximum(items, 0)], 0.0).sum(axis=1)
        return total / np.maximum(shown.sum(axis=1), 1)
