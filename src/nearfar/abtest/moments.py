"""Count, means and covariances of the users' sums, the input of the delta method."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64

from nearfar.core.errors import EmptyDataError


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and covariances of the sums of an arm's users.

    Args:
        sums: names of the columns.
        n: number of users.
        mean: mean of each column.
        covariance: covariance of each pair of columns, divided by n - 1.
    """

    sums: tuple[str, ...]
    n: int
    mean: Float64[np.ndarray, " sums"]
    covariance: Float64[np.ndarray, "sums sums"]

    @classmethod
    def of(cls, sums: tuple[str, ...], values: Float64[np.ndarray, "users sums"]) -> Moments:
        """Compute the moments of users' values.

        Raises:
            EmptyDataError: there are fewer than two users.
        """
        if len(values) < 2:
            raise EmptyDataError(f"there are {len(values)} users; a variance needs two or more")
        mean = values.mean(axis=0)
        deviations = values - mean
        return cls(sums, len(values), mean, deviations.T @ deviations / (len(values) - 1))

    def mean_of(self, name: str | None) -> float:
        """Return the mean of a column; 1 for None, since each user counts as one."""
        return 1.0 if name is None else float(self.mean[self.sums.index(name)])

    def variance_of(self, name: str) -> float:
        """Return the variance of a column."""
        column = self.sums.index(name)
        return float(self.covariance[column, column])

    @cached_property
    def aggregates(self) -> Any:
        """The moments as tea-tasting's `Aggregates`."""
        from tea_tasting.aggr import Aggregates

        pairs = [(i, j) for i in range(len(self.sums)) for j in range(i)]
        return Aggregates(
            count_=self.n,
            mean_={name: self.mean_of(name) for name in self.sums},
            var_={name: self.variance_of(name) for name in self.sums},
            cov_={(self.sums[i], self.sums[j]): float(self.covariance[i, j]) for i, j in pairs},
        )

    def gradient(self, numerator: str, denominator: str | None) -> Float64[np.ndarray, " sums"]:
        """Return the gradient g of a ratio of two means in the means, for the delta method.

        The variance of the ratio of means is about `g @ covariance @ g / n`.

        Source: Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics",
        section 3.1.
        """
        slope = np.zeros(len(self.sums))
        denominator_mean = self.mean_of(denominator)
        slope[self.sums.index(numerator)] = 1 / denominator_mean
        if denominator is not None:
            slope[self.sums.index(denominator)] = -self.mean_of(numerator) / denominator_mean**2
        return slope

    def varies(self, numerator: str, denominator: str | None) -> bool:
        """Return whether the ratio of two means has a variance above 0, by the delta method."""
        slope = self.gradient(numerator, denominator)
        return bool(slope @ self.covariance @ slope > 0)
