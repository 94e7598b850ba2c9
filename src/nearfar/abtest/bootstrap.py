"""Bootstrap intervals from resampled users, without assumptions on the distribution of sums."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from nearfar.abtest.cuped import Covariate
from nearfar.abtest.metrics import UpliftMetric


@dataclass(frozen=True)
class Resampled:
    """Percentile intervals of the difference and the relative uplift; None if undefined.

    Args:
        difference_low: lower end of treatment - control.
        difference_high: upper end of treatment - control.
        relative_low: lower end of treatment / control - 1.
        relative_high: upper end of treatment / control - 1.
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
    """Compute the intervals of a metric from resampled means of both arms.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.

    Args:
        metric: the metric.
        sums: names of the columns.
        control: means of the control's samples.
        treatment: means of the other arm's samples.
        level: confidence level.
        adjustment: for CUPED: the covariate, its coefficient, and the share of users in treatment.

    Returns:
        The intervals; None if the metric is undefined in some sample.
    """

    def ratio(means: np.ndarray, numerator: str, denominator: str | None) -> np.ndarray:
        below = 1.0 if denominator is None else means[:, sums.index(denominator)]
        return means[:, sums.index(numerator)] / below

    with np.errstate(divide="ignore", invalid="ignore"):
        control_values = ratio(control, metric.numerator, metric.denominator)
        treatment_values = ratio(treatment, metric.numerator, metric.denominator)
        if adjustment is not None:
            covariate, theta, share = adjustment
            pair = (covariate.numerator, covariate.denominator)
            pooled = ratio((1 - share) * control + share * treatment, *pair)
            control_values = control_values - theta * (ratio(control, *pair) - pooled)
            treatment_values = treatment_values - theta * (ratio(treatment, *pair) - pooled)
        relative = treatment_values / control_values - 1
    if not np.isfinite(treatment_values - control_values).all():
        return None
    ends = ((1 - level) / 2, (1 + level) / 2)
    low, high = np.quantile(treatment_values - control_values, ends)
    if not (control_values > 0).all():
        return Resampled(float(low), float(high), None, None)
    relative_low, relative_high = np.quantile(relative, ends)
    return Resampled(float(low), float(high), float(relative_low), float(relative_high))
