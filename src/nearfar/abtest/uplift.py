"""The uplift of one arm over the control in one metric: estimate, intervals, p-value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nearfar.abtest.cuped import Covariate
from nearfar.abtest.metrics import UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.evaluation.text import finite


@dataclass(frozen=True)
class Uplift:
    """The uplift of a treatment over the control; undefined values are None.

    Args:
        control: metric of the control.
        treatment: metric of the other arm.
        difference: treatment - control.
        difference_low: lower end of the interval of the difference.
        difference_high: upper end of the interval of the difference.
        relative: treatment / control - 1; None if one of them is not above 0.
        relative_low: lower end of the interval of the relative uplift.
        relative_high: upper end of the interval of the relative uplift.
        p: two-sided p-value of the difference; None if no user's value differs from another's.
    """

    control: float
    treatment: float
    difference: float
    difference_low: float | None
    difference_high: float | None
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    p: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


def measure(
    metric: UpliftMetric,
    control: Moments,
    treatment: Moments,
    *,
    level: float = 0.95,
    covariate: Covariate | None = None,
    normal: bool = False,
) -> Uplift:
    """Compare two arms by the delta method and Welch's t test of the two ratios.

    The interval of the difference is symmetric; that of the relative uplift is symmetric in the
    logarithm of treatment / control. So near the level, one may hold 0 and the other not; p belongs
    to the difference. tea-tasting computes all values.

    Source: Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics".

    Args:
        metric: the metric.
        control: moments of the control's users.
        treatment: moments of the other arm's users, with the same sums.
        level: confidence level.
        covariate: covariate of CUPED; the arms' values are then adjusted ones.
        normal: use the normal distribution instead of Student's t.
    """
    import tea_tasting as tt

    ratio = tt.RatioOfMeans(
        metric.numerator,
        metric.denominator,
        covariate.numerator if covariate else None,
        covariate.denominator if covariate else None,
        alternative="two-sided",
        confidence_level=level,
        equal_var=False,
        use_t=not normal,
    )
    ratio_terms = (metric.numerator, metric.denominator)
    if not control.varies(*ratio_terms) and not treatment.varies(*ratio_terms):
        return _without_variance(metric, control, treatment)
    result = ratio.analyze_aggregates(control.aggregates, treatment.aggregates)
    has_ratio = result.control > 0 and result.treatment > 0
    return Uplift(
        float(result.control),
        float(result.treatment),
        float(result.effect_size),
        finite(result.effect_size_ci_lower),
        finite(result.effect_size_ci_upper),
        finite(result.rel_effect_size) if has_ratio else None,
        finite(result.rel_effect_size_ci_lower) if has_ratio else None,
        finite(result.rel_effect_size_ci_upper) if has_ratio else None,
        finite(result.pvalue),
    )


def _without_variance(metric: UpliftMetric, control: Moments, treatment: Moments) -> Uplift:
    control_value, treatment_value = (
        m.mean_of(metric.numerator) / m.mean_of(metric.denominator) for m in (control, treatment)
    )
    relative = treatment_value / control_value - 1 if control_value > 0 else None
    return Uplift(
        control_value,
        treatment_value,
        treatment_value - control_value,
        None,
        None,
        relative,
        None,
        None,
        None,
    )
