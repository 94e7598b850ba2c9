"""From the familiar to the surprising: maximal marginal relevance."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

POOL = 10
"""Candidates looked at, as a multiple of k."""

MAX_POOL = 500
HISTORY = 100
"""So many of a history's last items count for what is familiar."""


def pool_size(k: int, n_items: int) -> int:
    """How many of the best items to choose k from."""
    return min(max(k, min(POOL * k, MAX_POOL)), n_items)


def mmr(
    scores: Float[np.ndarray, " pool"],
    alike: Float[np.ndarray, "pool pool"],
    familiar: Float[np.ndarray, " pool"],
    k: int,
    diversity: float,
) -> Int[np.ndarray, " k"]:
    """Choose k of a pool one by one: each the most relevant and the least like those before.

    The next is the one of the largest (1 - d) relevance - d likeness, where likeness is that to
    the nearest item chosen so far. Scores come as relevance from 0, the pool's worst, to 1.

    Source: Carbonell and Goldstein 1998, The use of MMR, diversity-based reranking for
    reordering documents and producing summaries, SIGIR; d is their 1 - lambda.
    Differs: the history counts as chosen from the start, so that what is like it comes later.

    Args:
        scores: of the pool, best first.
        alike: how alike items of the pool are.
        familiar: how alike each is to the nearest of the history.
        k: how many to choose.
        diversity: d, from 0 (the order of the scores) to 1 (relevance counts nothing).
    """
    span = scores[0] - scores[-1]
    relevance = (scores - scores[-1]) / (span if span > 0 else 1.0)
    nearest = familiar.astype(np.float64)
    left = np.ones(len(scores), bool)
    chosen = np.empty(min(k, len(scores)), np.int64)
    for place in range(len(chosen)):
        value = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        chosen[place] = best = int(value.argmax())
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return chosen
