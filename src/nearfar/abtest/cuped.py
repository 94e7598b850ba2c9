"""CUPED: use activity before the experiment to reduce the variance between users.

Source: Deng, Xu, Kohavi and Walker 2013, "Improving the sensitivity of online controlled
experiments by utilizing pre-experiment data", sections 3 and 4, appendix B for ratios.
"""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.abtest.metrics import UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.abtest.units import PRE


@dataclass(frozen=True)
class Covariate:
    """The metric before the experiment, a ratio of means like the metric itself.

    Args:
        numerator: name of the sum in the numerator.
        denominator: name of the sum in the denominator; None for the number of users.
    """

    numerator: str
    denominator: str | None


def covariate_of(metric: UpliftMetric, total: Moments) -> Covariate | None:
    """Return the covariate of a metric; None without earlier data that vary between users.

    Args:
        metric: the metric.
        total: moments of the users of both arms together.
    """
    numerator = PRE + metric.numerator
    if numerator not in total.sums or total.variance_of(numerator) <= 0:
        return None
    denominator = PRE + metric.denominator if metric.denominator else None
    if denominator is not None and (
        denominator not in total.sums or total.mean_of(denominator) <= 0
    ):
        denominator = None
    covariate = Covariate(numerator, denominator)
    return covariate if total.varies(numerator, denominator) else None


def coefficient(metric: UpliftMetric, covariate: Covariate, total: Moments) -> float:
    """Return theta, the regression coefficient of the metric on the covariate."""
    metric_slope = total.gradient(metric.numerator, metric.denominator)
    covariate_slope = total.gradient(covariate.numerator, covariate.denominator)
    covariance = metric_slope @ total.covariance @ covariate_slope
    return float(covariance / (covariate_slope @ total.covariance @ covariate_slope))
