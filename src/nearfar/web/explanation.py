"""Why: which items of a history carried each recommendation."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.web.rows import csr_of_lists
from nearfar.web.scorers.scorer import Scorer

TRIED = 100
"""So many of a history's last items are left out in turn."""

SHOWN = 3

Carried = list[tuple[int, float]]
"""Positions of items, and the share of a recommendation that each carried, most first."""


def carried_by(
    scorer: Scorer, history: Int[np.ndarray, " items"], recommended: Int[np.ndarray, " k"]
) -> list[Carried]:
    """For each recommendation the items of the history without which its score falls most.

    Every item is left out once, all in one batch; how far a score falls is what the item
    carried, and shares are of the sum of all that fell. Scores that rise carry nothing. A history
    of one item carried all: without it there would be none to compare with.

    Args:
        scorer: with the ability "explain".
        history: positions in the order given; the last `TRIED` of them are tried.
        recommended: positions.
    """
    if len(history) == 0:
        return [[] for _ in recommended]
    if len(history) == 1:
        return [[(int(history[0]), 1.0)] for _ in recommended]
    tried = history[-TRIED:]
    rows = [np.sort(history), *(np.sort(history[history != item]) for item in tried)]
    histories: csr_array = csr_of_lists(rows, len(scorer.items))
    scores = scorer.scores_at(histories, np.tile(recommended, (len(rows), 1)))
    fell: Float[np.ndarray, "tried k"] = np.maximum(scores[0] - scores[1:], 0).astype(np.float64)
    total = fell.sum(0)
    shares = fell / np.where(total > 0, total, 1)
    best = np.argsort(-shares, axis=0, kind="stable")[:SHOWN]
    return [
        [(int(tried[i]), float(shares[i, place])) for i in best[:, place] if shares[i, place] > 0]
        for place in range(len(recommended))
    ]
