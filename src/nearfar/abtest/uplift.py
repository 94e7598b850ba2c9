"""How one arm differs from the control in one metric: estimate, intervals, p-value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nearfar.abtest.cuped import Covariate
from nearfar.abtest.metrics import UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.evaluation.text import finite


@dataclass(frozen=True)
class Uplift:
    """Treatment against control; None stands for what does not exist.

    Args:
        control: the metric of the control.
        treatment: the metric of the other arm.
        difference: treatment - control.
        difference_low: the lower end of its interval.
        difference_high: the upper end.
        relative: treatment / control - 1; None where one of them is not above 0.
        relative_low: the lower end of its interval.
        relative_high: the upper end.
        p: the chance of a difference this large, up or down, between equal arms; None where no
            user's value differs from another's.
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
        """The fields as JSON-able values."""
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
    """Compare two arms by the delta method; Welch's t test of the two ratios.

    The interval of the difference is symmetric, that of the relative uplift symmetric in the
    logarithm of treatment / control, so that near a level one may hold 0 and the other not; p
    belongs to the difference. tea-tasting computes all of it.

    Args:
        metric: what is measured.
        control: moments of the control's users.
        treatment: moments of the other arm's users, of the same sums.
        level: how often such intervals hold the true value.
        covariate: what to adjust by (CUPED); the arms' values are then the adjusted ones.
        normal: take the normal distribution instead of Student's t.

    Source: Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics".
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
    if not _varies(metric, control) and not _varies(metric, treatment):
        return _without_chance(metric, control, treatment)
    found = ratio.analyze_aggregates(control.aggregates, treatment.aggregates)
    has_ratio = found.control > 0 and found.treatment > 0
    return Uplift(
        float(found.control),
        float(found.treatment),
        float(found.effect_size),
        finite(found.effect_size_ci_lower),
        finite(found.effect_size_ci_upper),
        finite(found.rel_effect_size) if has_ratio else None,
        finite(found.rel_effect_size_ci_lower) if has_ratio else None,
        finite(found.rel_effect_size_ci_upper) if has_ratio else None,
        finite(found.pvalue),
    )


def _varies(metric: UpliftMetric, moments: Moments) -> bool:
    slope = moments.gradient(metric.numerator, metric.denominator)
    return bool(slope @ moments.covariance @ slope > 0)


def _without_chance(metric: UpliftMetric, control: Moments, treatment: Moments) -> Uplift:
    below, above = (
        m.mean_of(metric.numerator) / m.mean_of(metric.denominator) for m in (control, treatment)
    )
    relative = above / below - 1 if below > 0 else None
    return Uplift(below, above, above - below, None, None, relative, None, None, None)
