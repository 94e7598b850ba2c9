"""The usual number of events of a day, from the days before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from statistics import median

CHANCE = 3.0
"""Numbers of events within so many standard deviations (of a Poisson distribution) of the usual
number are explained by chance."""
MIN_SAME_WEEKDAYS = 2


@dataclass(frozen=True)
class UsualVolume:
    """The usual number of events of a day.

    Attributes:
        median: median of the days before.
        same_weekday: median of the same weekdays among them; None if there is only one.
        last: the last day with events, if the day has none; None otherwise.
    """

    median: float
    same_weekday: float | None
    last: date | None

    def limits(self, low: float, high: float) -> tuple[float, float]:
        """Return the smallest and the largest number that is not far from the median.

        Args:
            low, high: the limits as shares of the median.
        """
        return _limits(self.median, low, high)

    def is_far(self, n_events: int, low: float, high: float) -> bool:
        """Return whether a number of events is far from both medians; see `limits`."""
        typical = [self.median] if self.same_weekday is None else [self.median, self.same_weekday]
        pairs = (_limits(number, low, high) for number in typical)
        return not any(least <= n_events <= most for least, most in pairs)


def usual_volume(
    daily: Mapping[date, int], day: date, n_days: int, min_days: int
) -> UsualVolume | None:
    """Return the usual volume of a day by the days before it; None if these are too few.

    An outage does not become usual. If the day has no events, the days before end with the last day
    that has some. If it has events, earlier days without any do not count.

    Args:
        daily: number of events per day, in order of the days.
        day: the day.
        n_days: number of days before the day that count.
        min_days: smallest number of them.
    """
    earlier = [d for d in daily if d < day]
    with_events = [i for i, d in enumerate(earlier) if daily[d]]
    if not with_events:
        return None
    is_empty = not daily[day]
    end = with_events[-1] + 1 if is_empty else len(earlier)
    before = earlier[max(with_events[0], end - n_days) : end]
    if len(before) < min_days:
        return None
    counted = [d for d in before if is_empty or daily[d]]
    if not counted:
        return None
    same = [daily[d] for d in counted if d.weekday() == day.weekday()]
    return UsualVolume(
        median(float(daily[d]) for d in counted),
        float(median(same)) if len(same) >= MIN_SAME_WEEKDAYS else None,
        earlier[with_events[-1]] if is_empty else None,
    )


def _limits(typical: float, low: float, high: float) -> tuple[float, float]:
    chance = CHANCE * math.sqrt(typical)
    return min(low * typical, typical - chance), max(high * typical, typical + chance)
