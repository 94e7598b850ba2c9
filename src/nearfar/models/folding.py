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
class LinearFolding(Folding):
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
class LeastSquaresFolding(Folding):
    """One weighted ridge regression for every history, in float64.

    Args:
        item_factors: what histories are regressed on.
        confidence: weights and penalty.
        n_background: how many items, the first ones, count as unobserved where a history lacks
            them; None for all. Items that were added after the training do not count: nobody
            could have interacted with them.
    """

    item_factors: Float[np.ndarray, "items k"]
    confidence: Confidence
    n_background: int | None = None

    @cached_property
    def ridge(self) -> WeightedRidge:
        """The regression's factored system."""
        factors = torch.from_numpy(self.item_factors).double()
        weight = self.confidence.unobserved_weight
        return WeightedRidge.against(factors, weight, self.n_background)

    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        penalties = self.confidence.penalties(rows, self.n_background)
        return self.ridge.solve(rows, penalties).float()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        confidence = self.confidence
        description = {
            "folding": "least_squares",
            "unobserved_weight": confidence.unobserved_weight,
            "l2": confidence.l2,
            "l2_exponent": confidence.l2_exponent,
        }
        if self.n_background is not None:
            description["n_background"] = self.n_background
        return description, {}
