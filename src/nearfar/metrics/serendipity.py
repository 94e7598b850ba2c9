"""Serendipity: hits that a list of popular items would not contain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class Serendipity(UserMetric):
    """Serendipity@k = |top-k in H and not in P_k| / k.

    Notation: H, the user's held-out items; P_k, the k most popular items outside the user's
    history (ties go to the lower item index).
    Source: Ge, Delgado-Battenfeld and Jannach 2010, "Beyond accuracy: evaluating recommender
    systems by coverage and serendipity": useful items that a primitive model does not expect.
    Differs: useful means held out, and the share is of all k places. Murakami et al. 2008 weigh
    by the probabilities of both models, others by similarity to the history.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.Serendipity(5)]).mean("Serendipity@5") <= 1
        True
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        k, histories = self.depth, judged.known_histories(self)
        top, n_items = judged.truncated(k), judged.n_items
        popularity_rank = np.empty(n_items, np.int64)  # by popularity, from 0
        popularity_rank[np.argsort(-judged.item_counts, kind="stable")] = np.arange(n_items)
        users, columns = np.nonzero(top.hits)
        hit_ranks = popularity_rank[top.ranking.items[users, columns]]
        n_seen = np.diff(histories.indptr)
        row_offsets = np.repeat(np.arange(judged.n_users, dtype=np.int64) * n_items, n_seen)
        seen_ranks = np.sort(row_offsets + popularity_rank[histories.indices])
        # The number of items of the history that are more popular than the hit.
        n_seen_above = (
            np.searchsorted(seen_ranks, users * n_items + hit_ranks) - histories.indptr[users]
        )
        unexpected = hit_ranks - n_seen_above >= k
        return np.bincount(users, unexpected, minlength=judged.n_users) / k
