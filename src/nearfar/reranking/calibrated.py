"""Calibrated recommendations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Lt
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core.ranges import Share
from nearfar.reranking.reranker import ItemFacts, Pool, Reranker, Selection

TINY = 1e-12


@dataclass(frozen=True)
class Calibrated(Reranker):
    """Calibration: a list has the genres of the user's history in their proportions.

    Greedily maximises (1 - c) sum_i relevance_i - c KL(p, q), p the shares of genres in the
    history and q those in the list, where an item of n genres has 1/n of each. A user whose
    history has no genres gets the order of the scores.

    Source: Steck, Calibrated Recommendations, 2018, Eqs. 1-5 and 7; c is the paper's lambda.
    Differs: items of the history weigh the same, however old they are.

    Args:
        calibration: c, from 0 (the order of the scores) to 1 (relevance counts nothing).
        smoothing: share of p that is mixed into q, so that the divergence is finite.

    Examples:
        >>> nf.reranking.Calibrated(calibration=0.8).smoothing
        0.01
    """

    calibration: Share = 0.5
    smoothing: Annotated[float, Gt(0), Lt(1)] = 0.01

    def check_facts(self, facts: ItemFacts) -> None:
        facts.genres("calibrated")

    def select(self, pool: Pool) -> Selection:
        return _GreedyCalibration(self, pool)


class _GreedyCalibration(Selection):
    """Notation: `_wanted` = p; `_chosen` sums the shares of the items chosen."""

    def __init__(self, settings: Calibrated, pool: Pool) -> None:
        genres = pool.facts.genres("calibrated")
        wanted = csr_array(pool.histories @ genres.shares).toarray().astype(np.float64)
        total = wanted.sum(1, keepdims=True)
        self._wanted = wanted / np.maximum(total, TINY)
        self._weight = settings.calibration * (total[:, 0] > 0)
        self._smoothing = settings.smoothing
        self._relevance = (1 - settings.calibration) * pool.relevance
        self._shares = genres.rows(pool.items).astype(np.float64)
        self._chosen = np.zeros_like(self._wanted)

    def values(self) -> Float[np.ndarray, "users n"]:
        listed = self._chosen[:, None] + self._shares
        q = listed / np.maximum(listed.sum(2, keepdims=True), TINY)
        p, a = self._wanted[:, None], self._smoothing
        # What p log p adds is the same for all candidates.
        divergence = -(p * np.log((1 - a) * q + a * p + TINY)).sum(2)
        return self._relevance - self._weight[:, None] * divergence

    def add(self, chosen: Int[np.ndarray, " users"]) -> None:
        self._chosen += self._shares[np.arange(len(chosen)), chosen]
