"""Counts, means and covariances of users' sums: all that the delta method needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import EmptyDataError


@dataclass(frozen=True, eq=False)
class Moments:
    """What an arm's users are on average, and how they vary.

    Args:
        sums: the names of the columns.
        n: how many users.
        mean: of each column.
        covariance: of every pair, with n - 1 below.
    """

    sums: tuple[str, ...]
    n: int
    mean: Float64[np.ndarray, " sums"]
    covariance: Float64[np.ndarray, "sums sums"]

    @classmethod
    def of(cls, sums: tuple[str, ...], values: Float64[np.ndarray, "users sums"]) -> Moments:
        """The moments of users' values.

        Raises:
            EmptyDataError: there are fewer than two users.
        """
        if len(values) < 2:
            raise EmptyDataError(f"{len(values)} users; two or more tell how they vary")
        mean = values.mean(axis=0)
        apart = values - mean
        return cls(sums, len(values), mean, apart.T @ apart / (len(values) - 1))

    def mean_of(self, name: str | None) -> float:
        """The mean of a column; 1 for None, which stands for a user."""
        return 1.0 if name is None else float(self.mean[self.sums.index(name)])

    def variance_of(self, name: str) -> float:
        """The variance of a column."""
        at = self.sums.index(name)
        return float(self.covariance[at, at])

    @cached_property
    def aggregates(self) -> Any:
        """The same for tea-tasting."""
        from tea_tasting.aggr import Aggregates

        pairs = [(i, j) for i in range(len(self.sums)) for j in range(i)]
        return Aggregates(
            count_=self.n,
            mean_={name: self.mean_of(name) for name in self.sums},
            var_={name: self.variance_of(name) for name in self.sums},
            cov_={(self.sums[i], self.sums[j]): float(self.covariance[i, j]) for i, j in pairs},
        )

    def gradient(self, numerator: str, denominator: str | None) -> Float64[np.ndarray, " sums"]:
        """How the ratio of two means changes with each mean; the delta method is built on it.

        The variance of the ratio of means is about `g @ covariance @ g / n`.

        Source: Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics",
        section 3.1.
        """
        slope = np.zeros(len(self.sums))
        below = self.mean_of(denominator)
        slope[self.sums.index(numerator)] = 1 / below
        if denominator is not None:
            slope[self.sums.index(denominator)] = -self.mean_of(numerator) / below**2
        return slope
