"""Intervals that may be looked at every day: valid at all times at once.

A fixed interval holds the truth 95 times in 100 on the one day that was chosen beforehand. Who
looks daily and stops at the first good day is wrong far more often. The interval here holds the
truth on all days together, at the price of being wider on each.

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
    """The relative uplift with an interval and a p-value for any number of looks.

    Args:
        low: the lower end of the relative uplift.
        high: the upper end.
        p: below 1 - level at some look with at most this chance, if there is no uplift.
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
    """The interval of today, one of a sequence that holds the truth on all days together.

    It is of the logarithm of treatment / control, whose mixture is normal about 0 with the
    standard deviation log(1 + expected). The expectation decides when the interval is narrowest,
    and never whether it is right; but it must be chosen before the first look.

    Args:
        metric: what is measured.
        control: moments of the control's users so far.
        treatment: moments of the other arm's users so far.
        expected: the relative uplift that is hoped for, as 0.05.
        level: how often all the intervals hold the true value.
        covariate: for CUPED.

    Returns:
        None where the relative uplift does not exist.

    Raises:
        SettingsError: the expectation is not above 0.
    """
    if not expected > 0:
        raise SettingsError(f"the expected uplift is {expected}; give one above 0, as 0.05")
    found = measure(metric, control, treatment, level=level, covariate=covariate, normal=True)
    if found.relative is None or found.relative_low is None or found.relative_high is None:
        return None
    width = math.log1p(found.relative_high) - math.log1p(found.relative_low)
    error = width / (2 * float(stats.norm.ppf((1 + level) / 2)))
    center = math.log1p(found.relative)
    half, p = mixture(center, error, math.log1p(expected), 1 - level)
    return AlwaysValid(math.expm1(center - half), math.expm1(center + half), p)


def mixture(estimate: float, error: float, spread: float, alpha: float) -> tuple[float, float]:
    """Half the width of the interval, and the p-value, of a normal mixture.

    Notation: v = 1 / error^2 is the information so far, rho = 1 / spread^2, S = estimate v; the
    boundary of |S| is sqrt((v + rho) log((v + rho) / (rho alpha^2))).

    Source: Howard et al. 2021, the two-sided normal mixture boundary.
    """
    information, rho = error**-2, spread**-2
    together = information + rho
    boundary = math.sqrt(together * math.log(together / (rho * alpha**2)))
    log_p = 0.5 * math.log(together / rho) - (estimate * information) ** 2 / (2 * together)
    return boundary / information, min(1.0, math.exp(log_p))
