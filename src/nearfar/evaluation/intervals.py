"""Confidence intervals of a mean over users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy import stats

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.seeding import generator

Method = Literal["t", "bootstrap", "bca"]

N_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A two-sided confidence interval at `level`, with the method that computed it."""

    low: float
    high: float
    level: float
    method: str

    @property
    def half_width(self) -> float:
        """Half of its length, which tables print after "±"."""
        return (self.high - self.low) / 2


def mean_interval(
    values: Float64[np.ndarray, " users"],
    level: float = 0.95,
    method: Method = "t",
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Interval | None:
    """Compute a confidence interval of the mean over the population that the users are drawn from.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13
    (percentiles) and section 14.3 (BCa).

    Args:
        values: one value per user.
        level: confidence level.
        method: "t", Student's; "bootstrap", percentiles of resampled means; "bca", percentiles
            corrected for bias and skewness.
        seed: random seed of the resampling; "t" needs none.
        n_resamples: number of samples of users, drawn with replacement.

    Returns:
        The interval; None for fewer than two users, whose variance is unknown.

    Raises:
        SettingsError: the level is not between 0 and 1.
        UnknownNameError: there is no such method.
    """
    check_level(level)
    methods: dict[str, Callable[[], tuple[float, float]]] = {
        "t": lambda: _t(values, level),
        "bootstrap": lambda: _percentiles(values, level, seed, n_resamples),
        "bca": lambda: _bca(values, level, seed, n_resamples),
    }
    if method not in methods:
        raise UnknownNameError("interval method", method, methods)
    if len(values) < 2:
        return None
    low, high = methods[method]()
    return Interval(float(low), float(high), level, method)


def standard_error(values: Float64[np.ndarray, " users"]) -> float | None:
    """Compute the standard error of the mean, s / sqrt(n); None for fewer than two users."""
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def check_level(level: float) -> None:
    """Raise SettingsError unless `level` is between 0 and 1."""
    if not 0 < level < 1:
        raise SettingsError(f"level is {level}; it must be between 0 and 1, such as 0.95")


def resampled_means(
    values: Float64[np.ndarray, "users ..."], n_resamples: int, rng: np.random.Generator
) -> Float64[np.ndarray, "resamples ..."]:
    """Compute the means of bootstrap samples: as many users as given, drawn with replacement.

    All columns of a user are drawn together. Memory beside `values` is one number per user.
    """
    n = len(values)
    means = np.empty((n_resamples, *values.shape[1:]))
    for resample in range(n_resamples):
        times = np.bincount(rng.integers(0, n, size=n), minlength=n)
        means[resample] = times.astype(np.float64) @ values / n
    return means


def _t(values: Float64[np.ndarray, " users"], level: float) -> tuple[float, float]:
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    half_width = stats.t.ppf((1 + level) / 2, len(values) - 1) * error
    return mean - half_width, mean + half_width


def _percentiles(
    values: Float64[np.ndarray, " users"], level: float, seed: int, n_resamples: int
) -> tuple[float, float]:
    means = resampled_means(values, n_resamples, generator(seed, "bootstrap"))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return low, high


def _bca(
    values: Float64[np.ndarray, " users"], level: float, seed: int, n_resamples: int
) -> tuple[float, float]:
    deviations = values - values.mean()
    spread = (deviations**2).sum()
    if spread == 0:
        return values.mean(), values.mean()
    means = resampled_means(values, n_resamples, generator(seed, "bootstrap"))
    below = (means < values.mean()).mean() + (means == values.mean()).mean() / 2
    smallest = 0.5 / n_resamples
    bias = stats.norm.ppf(np.clip(below, smallest, 1 - smallest))
    # The jackknife's acceleration: leaving user i out moves the mean by deviations[i] / (n - 1).
    acceleration = (deviations**3).sum() / (6 * spread**1.5)
    z = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return low, high
