"""Hit rate: whether the top k holds any held-out item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class HitRate(UserMetric):
    """HitRate@k = 1[some item of the top k is in H].

    Notation: H, the user's held-out items.
    Source: Deshpande and Karypis 2004, "Item-based top-N recommendation algorithms", where one
    item per user is held out.
    Differs: with one held-out item this is Recall@k, and some papers call Recall@k with several
    held-out items "hit rate" too. Information retrieval calls it Success@k.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.HitRate(5)]).mean("HitRate@5"), 2)
        1.0
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        return np.asarray(judged.truncated(self.depth).hits.any(axis=1), dtype=np.float64)
