"""Popularity bias: how popular the shown items are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import DataError
from nearfar.metrics.metric import Judged, UserMetric


@dataclass(frozen=True)
class ARP(UserMetric):
    """ARP@k = mean over the top k of c_i / U: average recommendation popularity.

    Notation: c_i, training users of item i; U, training users.
    Source: Yin et al. 2012, "Challenging the long tail recommendation"; the name from
    Abdollahpouri, Burke and Mobasher 2019, "Managing popularity bias in recommender systems with
    personalized re-ranking".
    Differs: these give counts c_i; here they are a share of the training users, so that data sets
    of different size compare: times U is theirs. A user with no candidates has 0.

    Raises:
        DataError: an item has more training users than there were.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.ARP(5)]).mean("ARP@5") <= 1
        True
    """

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        most = judged.item_counts.max(initial=0)
        if most > judged.n_train_users:
            raise DataError(f"an item of {most} training users, of {judged.n_train_users} in all")
        shown = judged.first(self.depth).shown()
        total = shown @ (judged.item_counts / max(judged.n_train_users, 1))
        return total / np.maximum(np.diff(shown.indptr), 1)
