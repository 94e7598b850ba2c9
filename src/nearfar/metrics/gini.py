"""Gini index: how unequally items are recommended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.metrics.metric import CatalogueMetric, JudgedRanking


@dataclass(frozen=True)
class Gini(CatalogueMetric):
    """Gini@k of recommendation counts: 0 if all are equal, (I - 1) / I if only one item is shown.

    G = sum_i (2i - I - 1) c_i / (I sum_i c_i), with the counts sorted, c_1 <= ... <= c_I.

    Notation: I, the number of items; c_i, the number of users with item i in their top k.
    Source: Fleder and Hosanagar 2009, "Blockbuster culture's next rise or fall".
    Differs: lower is more equal here. Some report 1 - G, leave out items that are never
    recommended, or scale by I / (I - 1). Without any recommendation it is 0.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Gini(5)]).mean("Gini@5"), 2)
        0.39
    """

    def overall(self, judged: JudgedRanking) -> float:
        counts = np.sort(judged.truncated(self.depth).recommendation_counts())
        n_items, total = len(counts), counts.sum()
        if total == 0:
            return 0.0
        weights = 2 * np.arange(1, n_items + 1) - n_items - 1
        return float(weights @ counts / (n_items * total))
