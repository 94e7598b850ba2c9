"""Precision: the share of the top k that is held out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class Precision(UserMetric):
    """Precision@k = |top-k in H| / k, also for a user with fewer than k candidates.

    Notation: H, the user's held-out items.
    Source: Manning, Raghavan and Schütze 2008, "Introduction to information retrieval",
    section 8.4.
    Differs: LensKit divides by the length of the list if that is shorter than k. Users with
    |H| < k cannot reach 1.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Precision(5)]).mean("Precision@5"), 2)
        0.42
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        return judged.truncated(self.depth).hits.sum(axis=1) / self.depth
