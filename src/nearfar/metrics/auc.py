"""AUC: how often a held-out item ranks above another candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class AUC(UserMetric):
    """AUC@k = share of pairs (positive, negative) in which the positive ranks higher.

    Candidates are all items outside the history; positives are the held-out ones, negatives the
    others. Candidates beyond place k count as in random order, with half of their pairs right.
    With h of the P positives and m of the N negatives in the top k,
    AUC@k = (sum over these m of the positives above each + (N - m) (h + P) / 2) / (P N).
    With k at least the number of candidates it is the area under the ROC curve.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback",
    section 4.1.1, whose k is the whole catalogue.
    Differs: AUC weighs all places equally, so low places decide most of it; NDCG does not.
    Another convention for a cutoff counts the pairs of the top k only. Users without held-out
    items have NaN; if all candidates are positives it is 1.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.AUC(5)]).mean("AUC@5") <= 1
        True
    """

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        top = judged.truncated(self.depth)
        n_seen = np.diff(judged.known_histories(self).indptr)
        n_positives = np.where(top.n_held_out > 0, top.n_held_out, np.nan)
        n_negatives = judged.n_items - n_seen - top.n_held_out
        negatives_in_top = (top.ranking.items >= 0) & ~top.hits
        right_in_top = (np.cumsum(top.hits, axis=1) * negatives_in_top).sum(axis=1)
        right_below = (
            (n_negatives - negatives_in_top.sum(axis=1)) * (top.hits.sum(axis=1) + n_positives) / 2
        )
        shares = (right_in_top + right_below) / (n_positives * np.maximum(n_negatives, 1))
        return np.where(n_negatives > 0, shares, n_positives / n_positives)
