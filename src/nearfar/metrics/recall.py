"""Recall: the share of the held-out items that the top k holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import DividedMetric, JudgedRanking, reachable


@dataclass(frozen=True)
class Recall(DividedMetric):
    """Recall@k = |top-k in H| / min(k, |H|).

    Notation: H, the user's held-out items.
    Source: Liang et al. 2018, "Variational autoencoders for collaborative filtering", section
    4.2, where the ideal ranking reaches 1 for every user.
    Differs: LightGCN and most graph models, LensKit, RecBole and trec_eval divide by |H|:
    `over="held_out"`, printed as "Recall@20(all)". Users with |H| > k cannot reach 1 then. Users
    without held-out items have NaN.

    Args:
        k: the cutoff.
        over: the divisor of the hits: "reachable", min(k, |H|), or "held_out", |H|.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Recall(5)]).mean("Recall@5"), 2)
        0.93
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        top = judged.truncated(self.depth)
        return top.hits.sum(axis=1) / reachable(top, self.depth, self.over)
