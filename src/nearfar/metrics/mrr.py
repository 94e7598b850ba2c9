"""Mean reciprocal rank: how high the first hit ranks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class MRR(UserMetric):
    """RR@k = 1 / place of the first hit, 0 without a hit in the top k; MRR is its mean.

    Source: Voorhees 1999, "The TREC-8 question answering track report".
    Differs: some recommender code sums the reciprocal places of all hits instead.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.MRR(5)]).mean("MRR@5"), 2)
        0.87
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        hits = judged.truncated(self.depth).hits
        first = hits.argmax(axis=1)  # 0 as well where there is no hit
        return np.where(hits.any(axis=1), 1 / (first + 1), 0.0)
