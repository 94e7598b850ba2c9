"""Plan the length of an A/B test from the users' past activity."""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import asdict, dataclass
from typing import Any

from nearfar.abtest.history import PastActivity, solve
from nearfar.abtest.logs import Logs
from nearfar.abtest.metrics import UpliftMetric, percent, shown
from nearfar.abtest.plan_settings import PlanSettings
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.extras import require
from nearfar.evaluation.table import Table

WEEK = 7
MAX_EXTRAPOLATION = 4
"""Longest test that a log can plan, in multiples of the log's length."""


@dataclass(frozen=True)
class Horizon:
    """The smallest detectable uplift of a test of one length.

    Args:
        days: length of the test, in days.
        users: expected number of users, in all arms.
        smallest_uplift: relative uplift that the test detects with the requested power.
        extrapolated: whether the test is longer than the log.
    """

    days: int
    users: int
    smallest_uplift: float
    extrapolated: bool


@dataclass(frozen=True)
class MetricPlan:
    """The plan for one metric.

    Args:
        metric: the metric.
        baseline: value of the metric in the log.
        horizons: one per length.
        days_needed: length in whole weeks, in days, that detects the requested uplift; None if no
            uplift was requested, or the log is too short to plan a test of that length.
        users_needed: users in all arms that detect it, if they are as active as in a test of that
            length (of one week if `days_needed` is None).
    """

    metric: UpliftMetric
    baseline: float
    horizons: tuple[Horizon, ...]
    days_needed: int | None
    users_needed: int | None


@dataclass(frozen=True)
class Plan:
    """The plan of an A/B test for every metric.

    Args:
        settings: the settings of the planned test.
        n_days: length of the log, in days.
        arrivals: number of users seen by the end of each day of the log.
        metrics: one plan per metric.
        warnings: warnings for the reader.
    """

    settings: PlanSettings
    n_days: int
    arrivals: tuple[int, ...]
    metrics: tuple[MetricPlan, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-able values."""
        fields = {k: v for k, v in vars(self.settings).items() if k != "metrics"}
        return {
            **{k: list(v) if isinstance(v, tuple) else v for k, v in fields.items()},
            "log_days": self.n_days,
            "arrivals": list(self.arrivals),
            "metrics": [{**asdict(m), "metric": m.metric.name} for m in self.metrics],
            "warnings": list(self.warnings),
        }

    def table(self) -> Table:
        """Return a table with one row per metric and the smallest uplift in one column per length.

        With a requested uplift, two more columns have the days and users that it needs.
        """
        lengths = [h.days for h in self.metrics[0].horizons]
        header = ["metric", "now", *(f"{days} days" for days in lengths)]
        uplift = self.settings.uplift
        if uplift is not None:
            header += [f"days for {100 * uplift:+g} %", "users"]
        rows = [["users met", "", *(f"{h.users:,}" for h in self.metrics[0].horizons)]]
        if uplift is not None:
            rows[0] += ["", ""]
        for plan in self.metrics:
            row = [plan.metric.name, shown(plan.baseline, plan.metric)]
            row += [
                percent(h.smallest_uplift) + ("*" if h.extrapolated else "") for h in plan.horizons
            ]
            if uplift is not None:
                needed = plan.days_needed
                row += [
                    f"> {MAX_EXTRAPOLATION * self.n_days}" if needed is None else f"{needed}",
                    "-" if plan.users_needed is None else f"{plan.users_needed:,}",
                ]
            rows.append(row)
        notes = [
            f"Smallest relative uplift shown with {100 * self.settings.power:g} % power at alpha "
            f"{self.settings.alpha:g}, without CUPED.",
            *(f"warning: {text}" for text in self.warnings),
        ]
        if any(h.extrapolated for h in self.metrics[0].horizons):
            notes.insert(1, f"* longer than the log ({self.n_days} days): extrapolated.")
        return Table(tuple(header), tuple(map(tuple, rows)), tuple(notes))


def make_plan(logs: Logs, settings: PlanSettings | None = None) -> Plan:
    """Plan an A/B test from the logs of days without one.

    A test of d days is assumed to have the users and activity of the log's last d days. For tests
    longer than the log, users and smallest uplift (its logarithm) are extrapolated as powers of
    the length, fitted to half of the log and all of it.

    Args:
        logs: exposures, whose arms are ignored, and clicks.
        settings: the settings of the planned test.

    Raises:
        MissingExtraError: tea-tasting is not installed.
        EmptyDataError: there are no clicks, or fewer than four users.
        SettingsError: a length is more than four times that of the log.

    Examples:
        >>> from nearfar.abtest.assignment import Experiment
        >>> from nearfar.abtest.logs import read_logs
        >>> from nearfar.abtest.simulate import Simulation, simulate_logs
        >>> simulation = Simulation(n_users=500, days=4, pre_days=4)
        >>> experiment = Experiment("home", salt="s", start=simulation.start)
        >>> logs = read_logs(*simulate_logs(simulation, experiment))
        >>> from nearfar.abtest.plan import make_plan
        >>> from nearfar.abtest.plan_settings import PlanSettings
        >>> make_plan(logs, PlanSettings(days=(7,))).settings.power
        0.8
    """
    require("tea_tasting", extra="abtest", purpose="an A/B test")
    settings = settings or PlanSettings()
    history = PastActivity(logs, settings)
    if max(settings.days) > MAX_EXTRAPOLATION * history.n_days:
        raise SettingsError(
            f"a log of {history.n_days} days cannot plan a test of {max(settings.days)} days; plan "
            f"for {MAX_EXTRAPOLATION * history.n_days} days at most, or give a longer log"
        )
    sums = history.moments(history.n_days).sums
    plans = [_plan_of(m, history) for m in settings.metrics if set(m.sums) <= set(sums)]
    if not plans:
        names = ", ".join(m.name for m in settings.metrics)
        raise EmptyDataError(f"the logs have no data for {names}; play time needs play_seconds")
    return Plan(settings, history.n_days, history.arrivals, tuple(plans), _warnings(history))


def _plan_of(metric: UpliftMetric, history: PastActivity) -> MetricPlan:
    settings = history.settings
    moments = history.moments(history.n_days)
    baseline = moments.mean_of(metric.numerator) / moments.mean_of(metric.denominator)
    horizons = tuple(
        Horizon(
            days, round(history.users(days)), history.smallest_uplift(metric, days),
            days > history.n_days,
        )
        for days in sorted(set(settings.days))
    )  # fmt: skip
    uplift = settings.uplift
    if uplift is None:
        return MetricPlan(metric, baseline, horizons, None, None)
    weeks = range(WEEK, MAX_EXTRAPOLATION * history.n_days + 1, WEEK)
    # The smallest uplift falls with the length, so bisection needs only about ten evaluations.
    position = bisect_left(
        weeks, True, key=lambda days: history.smallest_uplift(metric, days) <= uplift
    )
    needed = weeks[position] if position < len(weeks) else None
    active_moments = history.moments(min(needed or WEEK, history.n_days))
    users = math.ceil(solve(metric, active_moments, settings, uplift=uplift))
    return MetricPlan(metric, baseline, horizons, needed, users)


def _warnings(history: PastActivity) -> tuple[str, ...]:
    warnings = [
        f"{days} days are not whole weeks, and days of the week differ: take "
        f"{WEEK * math.ceil(days / WEEK)}"
        for days in sorted(set(history.settings.days))
        if days % WEEK
    ]
    if history.n_days < 2 * WEEK:
        warnings.append(
            f"the log has {history.n_days} days; two weeks or more show how users return"
        )
    return tuple(warnings)
