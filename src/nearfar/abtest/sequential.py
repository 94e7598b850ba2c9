"""Always valid intervals and p-values, for an A/B test that is looked at every day.

A fixed 95 % interval holds the true value with probability 95 % on one day chosen beforehand. With
daily looks, stopping on the first significant day is wrong far more often. The interval here holds
the true value on all days together, and is wider on each.

Source: Robbins 1970, "Statistical methods related to the law of the iterated logarithm", for the
mixture; Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
confidence sequences", section 3.2, the two-sided normal mixture boundary; Johari, Koomen,
Pekelis and Walsh 2022, "Always valid inference", for the p-value.
Differs: the standard error is estimated, so that validity is asymptotic (Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory and asymptotic confidence
sequences").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from nearfar.abtest.cuped import Covariate
from nearfar.abtest.metrics import UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.abtest.uplift import measure
from nearfar.core.errors import SettingsError


@dataclass(frozen=True)
class AlwaysValid:
    """An interval of the relative uplift and a p-value that hold for any number of looks.

    Args:
        low: lower end of the relative uplift.
        high: upper end of the relative uplift.
        p: p-value; without an uplift, it falls below alpha at any look with probability at most
            alpha.
    """

    low: float
    high: float
    p: float


def always_valid(
    metric: UpliftMetric,
    control: Moments,
    treatment: Moments,
    *,
    expected: float,
    level: float = 0.95,
    covariate: Covariate | None = None,
) -> AlwaysValid | None:
    """Compute today's interval of a sequence that holds the true value on all days together.

    It is an interval of the logarithm of treatment / control, with a normal mixture about 0 with
    standard deviation log(1 + expected). The expected uplift decides when the interval is
    narrowest, not whether it is valid, but it must be chosen before the first look.

    Args:
        metric: the metric.
        control: moments of the control's users so far.
        treatment: moments of the other arm's users so far.
        expected: expected relative uplift, such as 0.05.
        level: probability that all intervals hold the true value.
        covariate: covariate of CUPED; None without CUPED.

    Returns:
        The interval and p-value; None if the relative uplift is undefined.

    Raises:
        SettingsError: `expected` is not above 0.
    """
    if not expected > 0:
        raise SettingsError(f"the expected uplift is {expected}; give one above 0, such as 0.05")
    uplift = measure(metric, control, treatment, level=level, covariate=covariate, normal=True)
    if uplift.relative is None or uplift.relative_low is None or uplift.relative_high is None:
        return None
    width = math.log1p(uplift.relative_high) - math.log1p(uplift.relative_low)
    error = width / (2 * float(stats.norm.ppf((1 + level) / 2)))
    center = math.log1p(uplift.relative)
    half_width, p = mixture(center, error, math.log1p(expected), 1 - level)
    return AlwaysValid(math.expm1(center - half_width), math.expm1(center + half_width), p)


def mixture(estimate: float, error: float, spread: float, alpha: float) -> tuple[float, float]:
    """Return half the width of the interval and the p-value of a normal mixture.

    Notation: v = 1 / error^2 is the information so far, rho = 1 / spread^2, S = estimate v; the
    boundary of |S| is sqrt((v + rho) log((v + rho) / (rho alpha^2))).

    Source: Howard et al. 2021, the two-sided normal mixture boundary.
    """
    information, rho = error**-2, spread**-2
    total = information + rho
    boundary = math.sqrt(total * math.log(total / (rho * alpha**2)))
    log_p = 0.5 * math.log(total / rho) - (estimate * information) ** 2 / (2 * total)
    return boundary / information, min(1.0, math.exp(log_p))
