"""Popularity bias: how popular the recommended items are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import DataError
from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class ARP(UserMetric):
    """ARP@k = mean over the top k of c_i / U: average recommendation popularity.

    Notation: c_i, training users of item i; U, training users.
    Source: Yin et al. 2012, "Challenging the long tail recommendation"; the name from
    Abdollahpouri, Burke and Mobasher 2019, "Managing popularity bias in recommender systems with
    personalized re-ranking".
    Differs: the sources average the counts c_i; here a count is a share of the training users, so
    that data sets of different sizes compare. Multiply by U for the original. A user with no
    candidates has 0.

    Raises:
        DataError: an item has more training users than there are in all.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.ARP(5)]).mean("ARP@5") <= 1
        True
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        max_count = judged.item_counts.max(initial=0)
        if max_count > judged.n_train_users:
            raise DataError(
                f"an item has {max_count} training users of {judged.n_train_users} in all; give "
                "item_counts and n_train_users of the same training data"
            )
        recommended = judged.truncated(self.depth).ranked_items()
        total = recommended @ (judged.item_counts / max(judged.n_train_users, 1))
        return total / np.maximum(np.diff(recommended.indptr), 1)
