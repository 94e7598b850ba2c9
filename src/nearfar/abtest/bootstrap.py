"""Intervals by resampling users: no assumption on how sums of users are spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.abtest.cuped import Covariate
from nearfar.abtest.metrics import UpliftMetric


@dataclass(frozen=True)
class Resampled:
    """Percentile intervals of the difference and of the relative uplift; None for no such.

    Args:
        difference_low: the lower end for treatment - control.
        difference_high: the upper end.
        relative_low: the lower end for treatment / control - 1.
        relative_high: the upper end.
    """

    difference_low: float
    difference_high: float
    relative_low: float | None
    relative_high: float | None


def percentiles(
    metric: UpliftMetric,
    sums: tuple[str, ...],
    control: Float64[np.ndarray, "resamples sums"],
    treatment: Float64[np.ndarray, "resamples sums"],
    level: float,
    adjustment: tuple[Covariate, float, float] | None = None,
) -> Resampled | None:
    """The intervals of a metric from resampled means of both arms.

    Args:
        metric: what is measured.
        sums: the names of the columns.
        control: means of the control's samples.
        treatment: means of the other arm's.
        level: how often such intervals hold the true value.
        adjustment: for CUPED the covariate, its coefficient, and the share of users in treatment.

    Returns:
        None where in some sample the metric does not exist.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """

    def ratio(means: np.ndarray, numerator: str, denominator: str | None) -> np.ndarray:
        below = 1.0 if denominator is None else means[:, sums.index(denominator)]
        return means[:, sums.index(numerator)] / below

    with np.errstate(divide="ignore", invalid="ignore"):
        before = ratio(control, metric.numerator, metric.denominator)
        after = ratio(treatment, metric.numerator, metric.denominator)
        if adjustment is not None:
            covariate, theta, share = adjustment
            pair = (covariate.numerator, covariate.denominator)
            both = ratio((1 - share) * control + share * treatment, *pair)
            before = before - theta * (ratio(control, *pair) - both)
            after = after - theta * (ratio(treatment, *pair) - both)
        relative = after / before - 1
    if not np.isfinite(after - before).all():
        return None
    ends = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(after - before, ends)
    if not (before > 0).all():
        return Resampled(float(low), float(high), None, None)
    relative_low, relative_high = np.quantile(relative, ends)
    return Resampled(float(low), float(high), float(relative_low), float(relative_high))
