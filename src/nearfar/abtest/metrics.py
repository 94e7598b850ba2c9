"""The metrics of an A/B test: a sum over users, divided by another sum or by the users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nearfar.core.errors import UnknownNameError

SUMS = ("views", "user_days", "clicks", "play_seconds")
"""The sums over the days of a user: views of the cards, days with a view, clicks, seconds."""

Unit = Literal["share", "count", "seconds"]


@dataclass(frozen=True)
class UpliftMetric:
    """A ratio of two means over users; without a denominator, a mean.

    Notation: the metric of an arm is mean(numerator) / mean(denominator) of the users' sums, the
    ratio of totals; active users have more weight in it.

    Args:
        name: name in options, tables and JSON.
        title: name in sentences.
        numerator: one of `SUMS`.
        denominator: one of `SUMS`, or None for the number of users.
        unit: unit in which it is printed.
    """

    name: str
    title: str
    numerator: str
    denominator: str | None
    unit: Unit

    @property
    def sums(self) -> tuple[str, ...]:
        """The sums that it needs."""
        return tuple(s for s in (self.numerator, self.denominator) if s is not None)


METRICS = (
    UpliftMetric("clicks_per_view", "Clicks per daily view", "clicks", "views", "share"),
    UpliftMetric(
        "clicks_per_user_view", "Clicks per daily user view", "clicks", "user_days", "share"
    ),
    UpliftMetric("clicks_per_user", "Clicks per user", "clicks", None, "count"),
    UpliftMetric("play_seconds_per_user", "Play time per user", "play_seconds", None, "seconds"),
)
"""The card click rates of the paper's online test (per daily view, per daily user view), clicks
and play time.

Source: the paper's section 4.1, A/B testing, and the online part of its table.
Differs: the paper does not say how days are pooled; here a rate is over all days together. A user
view is a user and day with at least one view.
"""


def find_metrics(names: str | None) -> tuple[UpliftMetric, ...]:
    """Return metrics by their comma-separated names; all metrics for None.

    Raises:
        UnknownNameError: there is no such metric.
    """
    known = {metric.name: metric for metric in METRICS}
    requested = list(known) if names is None else [name.strip() for name in names.split(",")]
    for name in requested:
        if name not in known:
            raise UnknownNameError("metric", name, known)
    return tuple(known[name] for name in dict.fromkeys(requested))


def shown(value: float, metric: UpliftMetric, *, signed: bool = False) -> str:
    """Format a value of the metric: "4.41 %", "0.5203", "85.2 s"."""
    sign = "+" if signed else ""
    if metric.unit == "share":
        return percent(value, signed=signed)
    if metric.unit == "seconds":
        return f"{value:{sign}.4g} s" if abs(value) < 1000 else f"{value:{sign},.0f} s"
    return f"{value:{sign}.4g}"


def percent(share: float, *, signed: bool = True) -> str:
    """Format a share or a relative change: "+116 %", "-0.83 %"."""
    sign, value = "+" if signed else "", 100 * share
    return f"{value:{sign},.0f} %" if abs(value) >= 100 else f"{value:{sign}.3g} %"
