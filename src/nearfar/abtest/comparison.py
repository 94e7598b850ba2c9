"""One row of an analysis: a metric of an arm against the control, in numbers and in words."""

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
    """An arm against the control in one metric.

    Args:
        metric: what is measured.
        arm: the arm that is not the control.
        card: the card it is of; None for all cards together.
        level: of the intervals.
        uplift: estimate, delta-method intervals and p; adjusted by CUPED where `plain` is given.
        plain: the same without CUPED; None where nothing is known from before.
        resampled: bootstrap intervals, where they were asked for and exist.
        daily: whether what decides must hold for daily looks.
        always_valid: the interval and p for daily looks, where they exist.
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
        """The p-value that decides: the always valid one for daily looks."""
        if self.daily:
            return None if self.always_valid is None else self.always_valid.p
        return self.uplift.p

    @property
    def variance_reduction(self) -> float | None:
        """The share of the estimate's variance that CUPED takes away; None without CUPED."""
        if self.plain is None:
            return None
        with_it, without = (_width(u) for u in (self.uplift, self.plain))
        return 1 - (with_it / without) ** 2 if with_it is not None and without else None

    @property
    def is_shown(self) -> bool:
        """Whether a difference is shown: p after Holm's correction below 1 - level."""
        return self.p_holm is not None and self.p_holm < 1 - self.level

    @property
    def sentence(self) -> str:
        """What was found, for people."""
        place = "" if self.card is None else f" on card {self.card}"
        values = " to ".join(
            shown(v, self.metric) for v in (self.uplift.control, self.uplift.treatment)
        )
        start = f"{self.metric.title}{place}, {self.arm}: {values}"
        if self.p is None:
            return f"{start}; too little happened for chance to be judged."
        chances = f"p {_equals(self.p)}, Holm {_equals(self.p_holm)}"
        told = f"{start}, {self.change} ({self.interval_text}; {chances})"
        if self.is_shown:
            return f"{told}: {'more' if self.uplift.difference > 0 else 'less'} than the control."
        return f"{told}: no difference is shown."

    @property
    def change(self) -> str:
        """The relative uplift as "+116 %", or the difference where there is none."""
        if self.uplift.relative is None:
            return shown(self.uplift.difference, self.metric, signed=True)
        return percent(self.uplift.relative)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The interval that decides, of the relative uplift, or of the difference where none is."""
        found = self.uplift
        if self.daily:
            valid = self.always_valid
            return None if valid is None else (valid.low, valid.high)
        pair = (found.relative_low, found.relative_high)
        if found.relative is None:
            pair = (found.difference_low, found.difference_high)
        return None if pair[0] is None or pair[1] is None else (pair[0], pair[1])

    @property
    def interval_text(self) -> str:
        """The interval as "+110 % to +122 %", with what it is."""
        what = f"{np.round(100 * self.level, 6):g} % interval"
        if self.daily:
            what = f"always valid {what}"
        if self.interval is None:
            return f"no {what}"
        if self.uplift.relative is None:
            ends = [shown(end, self.metric, signed=True) for end in self.interval]
        else:
            ends = [percent(end) for end in self.interval]
        return f"{what} {' to '.join(ends)}"

    def to_dict(self) -> dict[str, Any]:
        """The row as JSON-able values."""
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
    """The rows with p-values corrected for all of them together.

    Source: Holm 1979 (any false finding); Benjamini and Hochberg 1995 (the share of false ones).
    """
    tested = [row.p for row in rows if row.p is not None]
    if not tested:
        return rows
    p = np.array(tested)
    by_holm, by_bh = iter(holm(p).tolist()), iter(stats.false_discovery_control(p).tolist())
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
