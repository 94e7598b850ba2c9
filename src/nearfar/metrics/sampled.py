"""Sampled metrics, only for comparison with published numbers."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int
from scipy import stats

from nearfar.core.errors import SettingsError
from nearfar.metrics.metric import JudgedRanking, UserMetric

N_NEGATIVES = 100
"""Sampled negatives that each held-out item is ranked among."""


class SampledMetric(UserMetric):
    """A metric of each held-out item's place among 100 sampled negatives.

    Do not choose models by it. Krichene and Rendle 2020, "On sampled metrics for item
    recommendation", show that sampling changes which model wins: with few negatives every metric
    becomes AUC, up to scale, and differences at the top of the ranking are lost.

    A negative is a candidate that is not held out. The value is the exact expectation over the
    sample, so there is no seed: with a of the N negatives above the item, the number of sampled
    ones above it is hypergeometric, min(100, N) draws without replacement from N with a successes.
    The value of a user is the mean over the held-out items; users without any have NaN.
    """

    whole: ClassVar[bool] = True

    @abstractmethod
    def of_places(self, n_above: Int[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
        """Return the value of an item with `n_above` sampled negatives above it, each below k."""

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        n_seen = np.diff(judged.known_histories(self).indptr)
        n_candidates = judged.n_items - n_seen
        if judged.ranking.k < n_candidates.max(initial=0):
            raise SettingsError(
                f"{self} needs the ranking of all candidates; this one has {judged.ranking.k} "
                "places"
            )
        n_negatives = n_candidates - judged.n_held_out
        misses = (judged.ranking.items >= 0) & ~judged.hits
        users, places = np.nonzero(judged.hits)
        above = np.cumsum(misses, axis=1)[users, places]
        n_drawn = np.minimum(N_NEGATIVES, n_negatives)[users]
        n_above = np.arange(self.depth)
        chances = stats.hypergeom.pmf(
            n_above, n_negatives[users][:, None], above[:, None], n_drawn[:, None]
        )
        values = np.bincount(users, chances @ self.of_places(n_above), minlength=judged.n_users)
        return values / np.where(judged.n_held_out > 0, judged.n_held_out, np.nan)


@dataclass(frozen=True)
class SampledNDCG(SampledMetric):
    """SampledNDCG@k: the mean of 1 / log2(r + 1) for r <= k, r the place among sampled items.

    See `SampledMetric` for why models should not be chosen by it.

    Source: He et al. 2017, "Neural collaborative filtering", with one held-out item per user;
    Krichene and Rendle 2020, "On sampled metrics for item recommendation".
    Differs: each of several held-out items is ranked separately, and no sample is drawn.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.SampledNDCG(5)]).mean("SampledNDCG@5") <= 1
        True
    """

    def of_places(self, n_above: Int[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
        return 1 / np.log2(n_above + 2)


@dataclass(frozen=True)
class SampledHitRate(SampledMetric):
    """SampledHitRate@k: how often a held-out item is in the first k places among sampled items.

    See `SampledMetric` for why models should not be chosen by it.

    Source: He et al. 2017, "Neural collaborative filtering", with one held-out item per user;
    Krichene and Rendle 2020, "On sampled metrics for item recommendation".
    Differs: each of several held-out items is ranked separately, and no sample is drawn.

    Examples:
        >>> 0 <= nf.evaluate(ease, split.test, [nf.SampledHitRate(5)]).mean("SampledHitRate@5") <= 1
        True
    """

    def of_places(self, n_above: Int[np.ndarray, " k"]) -> Float64[np.ndarray, " k"]:
        return np.ones(len(n_above))
