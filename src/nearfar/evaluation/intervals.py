"""Intervals of a mean: how far chance in the choice of users may have moved it."""

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
    """A two-sided interval that holds the mean over all users with probability `level`."""

    low: float
    high: float
    level: float
    method: str

    @property
    def half_width(self) -> float:
        """Half of its length; what a table prints after "±"."""
        return (self.high - self.low) / 2


def mean_interval(
    values: Float64[np.ndarray, " users"],
    level: float = 0.95,
    method: Method = "t",
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Interval | None:
    """An interval of the mean over the population that the users were drawn from.

    Args:
        values: one per user.
        level: how often such intervals hold the true mean.
        method: "t", Student's; "bootstrap", percentiles of resampled means; "bca", these
            corrected for bias and skewness.
        seed: of the resampling; "t" needs none.
        n_resamples: how many samples of users are drawn with replacement.

    Returns:
        None where there are fewer than two users, who say nothing of how users differ.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13
    (percentiles) and section 14.3 (BCa).

    Raises:
        SettingsError: the level is not between 0 and 1, or there is no such method.
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
    """The standard error of the mean, s / sqrt(n); None where there are fewer than two users."""
    if len(values) < 2:
        return None
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def check_level(level: float) -> None:
    """Raises SettingsError unless `level` lies between 0 and 1."""
    if not 0 < level < 1:
        raise SettingsError(f"level is {level}; it must lie between 0 and 1, as 0.95")


def resampled_means(
    values: Float64[np.ndarray, "users ..."], n_resamples: int, rng: np.random.Generator
) -> Float64[np.ndarray, "resamples ..."]:
    """Compute the means of samples of as many users, drawn with replacement.

    All columns of a user are drawn together. One number per user is held beside `values`.
    """
    n = len(values)
    means = np.empty((n_resamples, *values.shape[1:]))
    for resample in range(n_resamples):
        times = np.bincount(rng.integers(0, n, size=n), minlength=n)
        means[resample] = times.astype(np.float64) @ values / n
    return means


def _t(values: Float64[np.ndarray, " users"], level: float) -> tuple[float, float]:
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    reach = stats.t.ppf((1 + level) / 2, len(values) - 1) * error
    return mean - reach, mean + reach


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
    edge = 0.5 / n_resamples
    bias = stats.norm.ppf(np.clip(below, edge, 1 - edge))
    # the jackknife's acceleration; leaving user i out moves a mean by deviations[i] / (n - 1)
    acceleration = (deviations**3).sum() / (6 * spread**1.5)
    z = bias + stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return low, high
