"""AUC: how often a wanted item stands above one that is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import Judged, UserMetric


@dataclass(frozen=True)
class AUC(UserMetric):
    """AUC@k = share of pairs (wanted, unwanted candidate) in which the wanted one stands higher.

    Candidates are all items outside the history. Those beyond place k count as in random order,
    half of their pairs being right: with h of the P wanted and m of the N unwanted ones in the top
    k, AUC@k = (sum over these m of the wanted above each + (N - m) (h + P) / 2) / (P N). With k at
    least the number of candidates it is the area under the ROC curve.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback",
    section 4.1.1, whose k is the whole catalogue.
    Differs: it weighs all places the same, so that most of it is decided where nobody looks; NDCG
    does not. Cut at k, another convention is to count the pairs of the top k only. Users without
    held-out items have NaN; where every candidate is wanted it is 1.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.AUC(5)]).mean("AUC@5") <= 1
        True
    """

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        top = judged.first(self.depth)
        n_seen = np.diff(judged.known_histories(self).indptr)
        wanted = np.where(top.n_held_out > 0, top.n_held_out, np.nan)
        unwanted = judged.n_items - n_seen - top.n_held_out
        misses = (top.ranking.items >= 0) & ~top.hits
        right = (np.cumsum(top.hits, axis=1) * misses).sum(axis=1)
        rest = (unwanted - misses.sum(axis=1)) * (top.hits.sum(axis=1) + wanted) / 2
        shares = (right + rest) / (wanted * np.maximum(unwanted, 1))
        return np.where(unwanted > 0, shares, wanted / wanted)
