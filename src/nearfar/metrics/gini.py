"""Gini index: how unequally items are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.metrics.metric import CatalogueMetric, Judged


@dataclass(frozen=True)
class Gini(CatalogueMetric):
    """Gini@k of how often each item is shown: 0, all equally; (I - 1) / I, always the same one.

    G = sum_i (2i - I - 1) c_i / (I sum_i c_i), the counts c_1 <= ... <= c_I in order.

    Notation: I, the number of items; c, in how many users' top k an item stands.
    Source: Fleder and Hosanagar 2009, "Blockbuster culture's next rise or fall".
    Differs: lower is more equal here; some report 1 - G, some leave out items never shown, some
    scale by I / (I - 1). Where nothing is shown at all it is 0.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Gini(5)]).mean("Gini@5"), 2)
        0.38
    """

    def overall(self, judged: Judged) -> float:
        counts = np.sort(judged.first(self.depth).shown_counts())
        n_items, total = len(counts), counts.sum()
        if total == 0:
            return 0.0
        weights = 2 * np.arange(1, n_items + 1) - n_items - 1
        return float(weights @ counts / (n_items * total))
