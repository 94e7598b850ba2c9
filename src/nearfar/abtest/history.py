"""The users and activity that A/B tests of different lengths would have had in a past log."""

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
"""Two per arm, the least for a variance."""


class PastActivity:
    """The users of a log and their activity in its last days.

    Args:
        logs: exposures and clicks of days without a test.
        settings: settings of the planned test.

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
        """Number of users seen by the end of each day, from the log's first day on."""
        first = self.logs.exposures.group_by("user").agg(pl.col("day").min())
        counts = dict(first["day"].value_counts().iter_rows())
        cumulative, total = [], 0
        for day in range(self.n_days):
            total += counts.get(self.logs.first_day + timedelta(days=day), 0)
            cumulative.append(total)
        return tuple(cumulative)

    def moments(self, days: int) -> Moments:
        """Return the moments of the users' sums over the log's last `days` days."""
        if days not in self._moments:
            first = self.logs.last_day - timedelta(days=days - 1)
            users = user_sums(self.logs.between(first, None))
            self._moments[days] = Moments.of(known_sums(users), sums_of(users))
        return self._moments[days]

    def users(self, days: int) -> float:
        """Return the number of users in a test of `days` days."""
        if self.settings.users is not None:
            return self.settings.users
        return self._at_length(days, lambda length: self.moments(length).n, 0.0, 1.0)

    def smallest_uplift(self, metric: UpliftMetric, days: int) -> float:
        """Return the smallest relative uplift that a test of `days` days detects."""

        def known(length: int) -> float:
            moments = self.moments(length)
            users = self.settings.users or moments.n
            return math.log1p(solve(metric, moments, self.settings, users=users))

        return math.expm1(self._at_length(days, known, -0.5, 0.0))

    def _at_length(
        self,
        days: int,
        value_within_log: Callable[[int], float],
        min_power: float,
        max_power: float,
    ) -> float:
        """Return a value for a length in days; beyond the log, extrapolate as a bounded power."""
        if days <= self.n_days:
            return value_within_log(days)
        half = self.n_days // 2
        if half < 1:
            raise SettingsError("a log of one day cannot plan longer tests; give a longer log")
        at_half, at_end = value_within_log(half), value_within_log(self.n_days)
        power = math.log(at_end / at_half) / math.log(self.n_days / half)
        return at_end * (days / self.n_days) ** min(max(power, min_power), max_power)


def solve(
    metric: UpliftMetric,
    moments: Moments,
    settings: PlanSettings,
    *,
    users: float | None = None,
    uplift: float | None = None,
) -> float:
    """Compute the smallest relative uplift for a number of users, or the users for an uplift.

    The uplift is assumed to multiply every user's activity. Then the variance in the treatment is
    larger than in the log, but the logarithm of the ratio of both arms varies as without an
    uplift. The distribution is assumed normal. tea-tasting computes the power.

    Args:
        metric: the metric.
        moments: moments of the users' sums.
        settings: arms, alpha and power.
        users: users in all arms together, to compute the uplift.
        uplift: relative uplift, to compute the users.

    Raises:
        EmptyDataError: the metric is 0, so that no relative uplift exists, or never varies.
    """
    import tea_tasting as tt

    varies = moments.varies(metric.numerator, metric.denominator)
    if not moments.mean_of(metric.numerator) > 0 or not varies:
        raise EmptyDataError(
            f"{metric.name} is 0 in the log, or the same for all users; a plan needs a log in "
            "which it varies"
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
    unknown = "n_obs" if users is None else "rel_effect_size"
    (solution,) = ratio.solve_power_from_aggregates(moments.aggregates, unknown)
    return solution.n_obs / pair_share if users is None else math.expm1(solution.rel_effect_size)
