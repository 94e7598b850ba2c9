"""CUPED: what users did before the experiment takes away what they differ by anyway.

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
    """The metric before the experiment: a ratio of means as the metric itself.

    Args:
        numerator: the sum above.
        denominator: the sum below, or None for users.
    """

    numerator: str
    denominator: str | None


def covariate_of(metric: UpliftMetric, total: Moments) -> Covariate | None:
    """The covariate of a metric, or None where nothing is known that varies between users.

    Args:
        metric: what is measured.
        total: the moments of the users of both arms together.
    """
    numerator = PRE + metric.numerator
    if numerator not in total.sums or total.variance_of(numerator) <= 0:
        return None
    denominator = PRE + metric.denominator if metric.denominator else None
    if denominator is not None and (
        denominator not in total.sums or total.mean_of(denominator) <= 0
    ):
        denominator = None
    found = Covariate(numerator, denominator)
    slope = total.gradient(found.numerator, found.denominator)
    return found if slope @ total.covariance @ slope > 0 else None


def coefficient(metric: UpliftMetric, covariate: Covariate, total: Moments) -> float:
    """Theta: the part of the covariate's difference that the metric's difference has too."""
    of_metric = total.gradient(metric.numerator, metric.denominator)
    of_covariate = total.gradient(covariate.numerator, covariate.denominator)
    shared = of_metric @ total.covariance @ of_covariate
    return float(shared / (of_covariate @ total.covariance @ of_covariate))
