"""Mean average precision: the precision at every hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import DividedMetric, JudgedRanking, reachable


@dataclass(frozen=True)
class MAP(DividedMetric):
    """AP@k = sum_{r <= k} 1[item r in H] Precision@r / min(k, |H|); MAP is its mean.

    Notation: H, the user's held-out items; r, the place, from 1.
    Source: Manning, Raghavan and Schütze 2008, "Introduction to information retrieval",
    section 8.4, cut at k.
    Differs: trec_eval divides by |H|: `over="held_out"`, printed as "MAP@10(all)". Others divide
    by the number of hits, so that one hit in first place would be perfect. Users without held-out
    items have NaN.

    Args:
        k: the cutoff.
        over: the divisor of the sum: "reachable", min(k, |H|), or "held_out", |H|.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.MAP(5)]).mean("MAP@5"), 2)
        0.73
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        top = judged.truncated(self.depth)
        precisions = np.cumsum(top.hits, axis=1) / np.arange(1, self.depth + 1)
        total = (precisions * top.hits).sum(axis=1)
        return total / reachable(top, self.depth, self.over)
