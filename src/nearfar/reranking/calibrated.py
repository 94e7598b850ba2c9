"""Calibrated recommendations: lists with the genre proportions of the user's history."""

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

    It greedily maximises (1 - c) sum_i relevance_i - c KL(p, q), with p the shares of genres in
    the history and q those in the list. An item with n genres has 1/n of each. A user without
    genres in the history gets the order of the scores.

    Source: Steck, Calibrated Recommendations, 2018, Eqs. 1-5 and 7; c is the paper's lambda.
    Differs: all items of the history have the same weight, regardless of age.

    Args:
        calibration: c, from 0 (the order of the scores) to 1 (relevance is ignored).
        smoothing: weight of p mixed into q, so that the divergence is finite.

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
    """Notation: `_history_shares` = p; `_list_sums` is the sum of the selected items' shares."""

    def __init__(self, settings: Calibrated, pool: Pool) -> None:
        genres = pool.facts.genres("calibrated")
        sums = csr_array(pool.histories @ genres.shares).toarray().astype(np.float64)
        total = sums.sum(1, keepdims=True)
        self._history_shares = sums / np.maximum(total, TINY)
        self._weight = settings.calibration * (total[:, 0] > 0)
        self._smoothing = settings.smoothing
        self._relevance = (1 - settings.calibration) * pool.relevance
        self._shares = genres.rows(pool.items).astype(np.float64)
        self._list_sums = np.zeros_like(self._history_shares)

    def values(self) -> Float[np.ndarray, "users n"]:
        sums = self._list_sums[:, None] + self._shares
        q = sums / np.maximum(sums.sum(2, keepdims=True), TINY)
        p, a = self._history_shares[:, None], self._smoothing
        # The term p log p is the same for all candidates.
        divergence = -(p * np.log((1 - a) * q + a * p + TINY)).sum(2)
        return self._relevance - self._weight[:, None] * divergence

    def add(self, columns: Int[np.ndarray, " users"]) -> None:
        self._list_sums += self._shares[np.arange(len(columns)), columns]
