"""Serendipity: hits that a list of what is popular would not have held."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import Judged, UserMetric


@dataclass(frozen=True)
class Serendipity(UserMetric):
    """Serendipity@k = |top-k in H and not in P_k| / k.

    Notation: H, the user's held-out items; P_k, the k most popular items that are not in the
    user's history (ties go to the lower item index): what a list for everybody would show.
    Source: Ge, Delgado-Battenfeld and Jannach 2010, "Beyond accuracy: evaluating recommender
    systems by coverage and serendipity": useful items that a primitive model does not expect.
    Differs: useful means held out, and the share is of all k places. Murakami et al. 2008 weigh
    by the probabilities of both models, others by likeness to the history.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.Serendipity(5)]).mean("Serendipity@5") <= 1
        True
    """

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        k, histories = self.depth, judged.known_histories(self)
        top, n_items = judged.first(k), judged.n_items
        place = np.empty(n_items, np.int64)  # by popularity, from 0
        place[np.argsort(-judged.item_counts, kind="stable")] = np.arange(n_items)
        users, columns = np.nonzero(top.hits)
        places = place[top.ranking.items[users, columns]]
        n_seen = np.diff(histories.indptr)
        first = np.repeat(np.arange(judged.n_users, dtype=np.int64) * n_items, n_seen)
        seen = np.sort(first + place[histories.indices])
        # How many items of the history are more popular than the hit.
        before = np.searchsorted(seen, users * n_items + places) - histories.indptr[users]
        unexpected = places - before >= k
        return np.bincount(users, unexpected, minlength=judged.n_users) / k
