"""Coverage: the share of the catalogue that is recommended to anyone."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.metrics.metric import CatalogueMetric, JudgedRanking


@dataclass(frozen=True)
class Coverage(CatalogueMetric):
    """Coverage@k: the share of all items that are in the top k of at least one user.

    Source: Ge, Delgado-Battenfeld and Jannach 2010, "Beyond accuracy: evaluating recommender
    systems by coverage and serendipity", catalogue coverage.
    Differs: it grows with the number of users, so compare it on the same users only. Others count
    the users, or the items, for which a recommendation is possible.

    Examples:
        >>> round(nf.evaluate(ease, split.test, [nf.Coverage(5)]).mean("Coverage@5"), 2)
        0.8
    """

    def overall(self, judged: JudgedRanking) -> float:
        counts = judged.truncated(self.depth).recommendation_counts()
        return float((counts > 0).mean())
