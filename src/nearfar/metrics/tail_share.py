"""Popularity bias: the share of recommended items from the long tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric

HEAD_PERCENT = 80
"""The least share of the training interactions that the head holds, in percent."""


@dataclass(frozen=True)
class TailShare(UserMetric):
    """TailShare@k = share of the top k in the long tail.

    The head is the fewest most popular items that together have at least 80 % of the training
    interactions, and all items as popular as the last of them. The tail is all other items.

    Source: Abdollahpouri, Burke and Mobasher 2019, "Managing popularity bias in recommender
    systems with personalized re-ranking", APLT (average percentage of long tail items).
    Differs: items as popular as the last of the head belong to the head, so that the order of
    items does not matter. A user with no candidates has 0.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.TailShare(5)]).mean("TailShare@5") <= 1
        True
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        recommended = judged.truncated(self.depth).ranked_items()
        in_tail = recommended @ tail_of(judged).astype(np.float64)
        return in_tail / np.maximum(np.diff(recommended.indptr), 1)


def tail_of(judged: JudgedRanking) -> Bool[np.ndarray, " items"]:
    """Return which items are in the long tail."""
    counts = np.sort(judged.item_counts)[::-1].astype(np.int64)
    cumulative = np.cumsum(counts)
    if not len(counts):
        return np.zeros(0, bool)
    last = np.searchsorted(100 * cumulative, HEAD_PERCENT * cumulative[-1])
    return judged.item_counts < counts[last]
