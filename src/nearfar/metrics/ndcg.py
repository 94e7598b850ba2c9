"""NDCG: hits count more at higher places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class NDCG(UserMetric):
    """NDCG@k = sum_{r <= k} 1[item r in H] / log2(r + 1), divided by its greatest possible value.

    Notation: H, the user's held-out items; r, the place, from 1.
    Source: Järvelin and Kekäläinen 2002, "Cumulated gain-based evaluation of IR techniques",
    with binary gains and the ideal sum_{r <= min(k, |H|)} 1 / log2(r + 1), as in Liang et al.
    2018, section 4.2.
    Differs: Järvelin and Kekäläinen do not discount the first places. Some recommender code sums
    the ideal over k places even if |H| < k, which no ranking reaches. Users without held-out items
    have NaN.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.NDCG(5)]).mean("NDCG@5"), 2)
        0.83
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        k = self.depth
        top = judged.truncated(k)
        discounts = 1 / np.log2(np.arange(2, k + 2))
        ideal = np.concatenate([[np.nan], np.cumsum(discounts)])
        return top.hits @ discounts / ideal[np.minimum(top.n_held_out, k)]
