"""One row of an analysis: an arm against the control in one metric, as numbers and as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from nearfar.abtest.bootstrap import Resampled
from nearfar.abtest.metrics import UpliftMetric, percent, shown
from nearfar.abtest.sequential import AlwaysValid
from nearfar.abtest.uplift import Uplift
from nearfar.evaluation.paired import holm
from nearfar.evaluation.text import p_value


@dataclass(frozen=True)
class ArmComparison:
    """The comparison of an arm with the control in one metric.

    Args:
        metric: the metric.
        arm: name of the arm that is not the control.
        card: the card; None for all cards together.
        level: confidence level of the intervals.
        uplift: estimate, delta-method intervals and p-value; adjusted by CUPED if `plain` is given.
        plain: the same without CUPED; None without data from before the start.
        resampled: bootstrap intervals; None if not requested or undefined.
        daily: whether the p-value and the interval must hold for daily looks.
        always_valid: interval and p-value for daily looks; None if not requested or undefined.
        p_holm: `p` after Holm's correction for all rows.
        p_bh: `p` after Benjamini and Hochberg's correction for all rows.
    """

    metric: UpliftMetric
    arm: str
    card: str | None
    level: float
    uplift: Uplift
    plain: Uplift | None = None
    resampled: Resampled | None = None
    daily: bool = False
    always_valid: AlwaysValid | None = None
    p_holm: float | None = None
    p_bh: float | None = None

    @property
    def p(self) -> float | None:
        """The p-value of the comparison: the always valid one for daily looks."""
        if self.daily:
            return None if self.always_valid is None else self.always_valid.p
        return self.uplift.p

    @property
    def variance_reduction(self) -> float | None:
        """The share of the estimate's variance that CUPED removes; None without CUPED."""
        if self.plain is None:
            return None
        adjusted, plain = (_width(u) for u in (self.uplift, self.plain))
        return 1 - (adjusted / plain) ** 2 if adjusted is not None and plain else None

    @property
    def is_shown(self) -> bool:
        """Whether the difference is significant: p after Holm's correction is below 1 - level."""
        return self.p_holm is not None and self.p_holm < 1 - self.level

    @property
    def sentence(self) -> str:
        """The result as one sentence."""
        place = "" if self.card is None else f" on card {self.card}"
        values = " to ".join(
            shown(v, self.metric) for v in (self.uplift.control, self.uplift.treatment)
        )
        start = f"{self.metric.title}{place}, {self.arm}: {values}"
        if self.p is None:
            return f"{start}; too little happened for chance to be judged."
        chances = f"p {_equals(self.p)}, Holm {_equals(self.p_holm)}"
        result = f"{start}, {self.change} ({self.interval_text}; {chances})"
        if self.is_shown:
            return f"{result}: {'more' if self.uplift.difference > 0 else 'less'} than the control."
        return f"{result}: no difference is shown."

    @property
    def change(self) -> str:
        """The relative uplift as text, such as "+116 %"; the difference if it is undefined."""
        if self.uplift.relative is None:
            return shown(self.uplift.difference, self.metric, signed=True)
        return percent(self.uplift.relative)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval of the relative uplift; of the difference if that is undefined."""
        uplift = self.uplift
        if self.daily:
            valid = self.always_valid
            return None if valid is None else (valid.low, valid.high)
        pair = (uplift.relative_low, uplift.relative_high)
        if uplift.relative is None:
            pair = (uplift.difference_low, uplift.difference_high)
        return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])

    @property
    def interval_text(self) -> str:
        """The interval with its kind, such as "95 % interval +110 % to +122 %"."""
        kind = f"{np.round(100 * self.level, 6):g} % interval"
        if self.daily:
            kind = f"always valid {kind}"
        if self.interval is None:
            return f"no {kind}"
        if self.uplift.relative is None:
            ends = [shown(end, self.metric, signed=True) for end in self.interval]
        else:
            ends = [percent(end) for end in self.interval]
        return f"{kind} {' to '.join(ends)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-able values."""
        return {
            "card": self.card,
            "metric": self.metric.name,
            "arm": self.arm,
            **self.uplift.to_dict(),
            "p_holm": self.p_holm,
            "p_bh": self.p_bh,
            "level": self.level,
            "bootstrap": None if self.resampled is None else asdict(self.resampled),
            "always_valid": None if self.always_valid is None else asdict(self.always_valid),
            "cuped": self.plain is not None,
            "variance_reduction": self.variance_reduction,
            "without_cuped": None if self.plain is None else self.plain.to_dict(),
            "is_shown": self.is_shown,
            "sentence": self.sentence,
        }


def corrected(rows: list[ArmComparison]) -> list[ArmComparison]:
    """Return the rows with p-values corrected for all rows together.

    Source: Holm 1979 (family-wise error rate); Benjamini and Hochberg 1995 (false discovery rate).
    """
    p_values = [row.p for row in rows if row.p is not None]
    if not p_values:
        return rows
    p_array = np.array(p_values)
    by_holm, by_bh = (
        iter(holm(p_array).tolist()),
        iter(stats.false_discovery_control(p_array).tolist()),
    )
    return [
        row if row.p is None else replace(row, p_holm=next(by_holm), p_bh=next(by_bh))
        for row in rows
    ]


def _width(uplift: Uplift) -> float | None:
    if uplift.difference_low is None or uplift.difference_high is None:
        return None
    return uplift.difference_high - uplift.difference_low


def _equals(p: float | None) -> str:
    text = p_value(p)
    return f"< {text[1:]}" if text.startswith("<") else text
