"""Popularity bias: how much of what is shown is from the long tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from nearfar.metrics.metric import Judged, UserMetric

HEAD_PERCENT = 80
"""Of the interactions, that the head has at least."""


@dataclass(frozen=True)
class TailShare(UserMetric):
    """TailShare@k = share of the top k in the long tail.

    The head is the most popular items that together have at least 80 % of the training
    interactions, with all items as popular as the last of them; the tail is the others.

    Source: Abdollahpouri, Burke and Mobasher 2019, "Managing popularity bias in recommender
    systems with personalized re-ranking", APLT (average percentage of long tail items).
    Differs: items as popular as the last of the head belong to it, so that the order of the items
    does not matter. A user with no candidates has 0.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.TailShare(5)]).mean("TailShare@5") <= 1
        True
    """

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        shown = judged.first(self.depth).shown()
        in_tail = shown @ tail_of(judged).astype(np.float64)
        return in_tail / np.maximum(np.diff(shown.indptr), 1)


def tail_of(judged: Judged) -> Bool[np.ndarray, " items"]:
    """Which items are in the long tail."""
    counts = np.sort(judged.item_counts)[::-1].astype(np.int64)
    together = np.cumsum(counts)
    if not len(counts):
        return np.zeros(0, bool)
    last = np.searchsorted(100 * together, HEAD_PERCENT * together[-1])
    return judged.item_counts < counts[last]
