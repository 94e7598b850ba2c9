"""Folding in: how a factor model finds the factors of a history that it has never seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.models.least_squares import Confidence, WeightedRidge, row_sums


class Folding(ABC):
    """From histories to users' factors."""

    @abstractmethod
    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        """The factors of every history, float32."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What rebuilds it beside the items' factors: a description, and arrays by name."""


@dataclass(frozen=True, eq=False)
class Linear(Folding):
    """u = x P + o: what one ridge system for everybody comes to.

    Args:
        projection: P; row i is what an interaction with item i adds to the user's factors.
        offset: o, the factors of an empty history.
    """

    projection: Float[np.ndarray, "items k"]
    offset: Float[np.ndarray, " k"]

    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        return row_sums(torch.from_numpy(self.projection), rows) + torch.from_numpy(self.offset)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"folding": "linear"}, {"projection": self.projection, "offset": self.offset}


@dataclass(frozen=True, eq=False)
class LeastSquares(Folding):
    """One weighted ridge regression for every history, in float64.

    Args:
        item_factors: what histories are regressed on.
        confidence: weights and penalty.
    """

    item_factors: Float[np.ndarray, "items k"]
    confidence: Confidence

    @cached_property
    def _ridge(self) -> WeightedRidge:
        factors = torch.from_numpy(self.item_factors).double()
        return WeightedRidge.against(factors, self.confidence.unobserved_weight)

    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        return self._ridge.solve(rows, self.confidence.penalties(rows)).float()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        confidence = self.confidence
        description = {
            "folding": "least_squares",
            "unobserved_weight": confidence.unobserved_weight,
            "l2": confidence.l2,
            "l2_exponent": confidence.l2_exponent,
        }
        return description, {}
