"""The last days of a log, as A/B tests of different lengths would have met them."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property

import polars as pl

from nearfar.abtest.logs import Logs
from nearfar.abtest.metrics import UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.abtest.plan_settings import PlanSettings
from nearfar.abtest.units import known_sums, sums_of, user_sums
from nearfar.core.errors import EmptyDataError, SettingsError

MIN_USERS = 4
"""Two an arm, the least that tells how users differ."""


class PastActivity:
    """Users and what they did in the last days of a log.

    Args:
        logs: exposures and clicks of days without a test.
        settings: what the planned test shall show.

    Raises:
        EmptyDataError: there are fewer than four users.
    """

    def __init__(self, logs: Logs, settings: PlanSettings) -> None:
        self.logs = logs
        self.settings = settings
        self.n_days = (logs.last_day - logs.first_day).days + 1
        self._moments: dict[int, Moments] = {}
        if logs.exposures["user"].n_unique() < MIN_USERS:
            raise EmptyDataError(f"the log has fewer than {MIN_USERS} users; give a longer one")

    @cached_property
    def arrivals(self) -> tuple[int, ...]:
        """Users met by the end of each day, from the log's first day on."""
        first = self.logs.exposures.group_by("user").agg(pl.col("day").min())
        counts = dict(first["day"].value_counts().iter_rows())
        met, total = [], 0
        for after in range(self.n_days):
            total += counts.get(self.logs.first_day + timedelta(days=after), 0)
            met.append(total)
        return tuple(met)

    def moments(self, days: int) -> Moments:
        """What users did in the log's last so many days."""
        if days not in self._moments:
            first = self.logs.last_day - timedelta(days=days - 1)
            users = user_sums(self.logs.between(first, None))
            self._moments[days] = Moments.of(known_sums(users), sums_of(users))
        return self._moments[days]

    def users(self, days: int) -> float:
        """How many users a test of that length meets."""
        if self.settings.users is not None:
            return self.settings.users
        return self._along(days, lambda length: self.moments(length).n, 0.0, 1.0)

    def smallest_uplift(self, metric: UpliftMetric, days: int) -> float:
        """The smallest relative uplift that a test of that length shows."""

        def known(length: int) -> float:
            moments = self.moments(length)
            users = self.settings.users or moments.n
            return math.log1p(solve(metric, moments, self.settings, users=users))

        return math.expm1(self._along(days, known, -0.5, 0.0))

    def _along(self, days: int, known: Callable[[int], float], least: float, most: float) -> float:
        """A value at a length; beyond the log as a power of it, within bounds."""
        if days <= self.n_days:
            return known(days)
        half = self.n_days // 2
        if half < 1:
            raise SettingsError("a log of one day tells nothing of longer tests; give more days")
        at_half, at_end = known(half), known(self.n_days)
        power = math.log(at_end / at_half) / math.log(self.n_days / half)
        return at_end * (days / self.n_days) ** min(max(power, least), most)


def solve(
    metric: UpliftMetric,
    moments: Moments,
    settings: PlanSettings,
    *,
    users: float | None = None,
    uplift: float | None = None,
) -> float:
    """The smallest relative uplift for so many users in all arms, or the users for an uplift.

    An uplift is taken to multiply what every user does, so that users of the treatment differ
    more than those of the log, and the logarithm of the ratio of both arms varies as if there
    were no uplift. The normal distribution is taken. tea-tasting computes it.

    Args:
        metric: what is measured.
        moments: what users did.
        settings: arms, alpha and power.
        users: how many, if the uplift is sought.
        uplift: how large, if the users are sought.

    Raises:
        EmptyDataError: the metric is 0, so that no relative uplift exists, or never varies.
    """
    import tea_tasting as tt

    slope = moments.gradient(metric.numerator, metric.denominator)
    varies = slope @ moments.covariance @ slope > 0
    if not moments.mean_of(metric.numerator) > 0 or not varies:
        raise EmptyDataError(
            f"{metric.name} is 0 in the log, or the same for all users; there is nothing to plan by"
        )
    control, *others = settings.weights
    pair_share = (control + min(others)) / sum(settings.weights)
    ratio = tt.RatioOfMeans(
        metric.numerator,
        metric.denominator,
        alternative="two-sided",
        equal_var=False,
        use_t=False,
        alpha=settings.alpha,
        power=settings.power,
        ratio=min(others) / control,
        rel_effect_size=None if uplift is None else math.log1p(uplift),
        n_obs=None if users is None else max(MIN_USERS, round(users * pair_share)),
    )
    wanted = "n_obs" if users is None else "rel_effect_size"
    (found,) = ratio.solve_power_from_aggregates(moments.aggregates, wanted)
    return found.n_obs / pair_share if users is None else math.expm1(found.rel_effect_size)
