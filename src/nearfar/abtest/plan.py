"""How long an A/B test must run, from what users did before."""

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
REACH = 4
"""A log is taken to tell of experiments at most so many times as long as itself."""


@dataclass(frozen=True)
class Horizon:
    """What a test of some length shows.

    Args:
        days: its length.
        users: how many users it meets, in all arms.
        smallest_uplift: the relative uplift that it shows with the power asked for.
        extrapolated: whether it is longer than the log.
    """

    days: int
    users: int
    smallest_uplift: float
    extrapolated: bool


@dataclass(frozen=True)
class MetricPlan:
    """The plan for one metric.

    Args:
        metric: what is measured.
        baseline: its value in the log.
        horizons: one a length.
        days_needed: whole weeks, in days, after which the uplift asked for is shown; None where
            none was asked for, or the log is too short to tell of so long a test.
        users_needed: users in all arms who show it, if they are as active as in a test of that
            length (of one week where `days_needed` is None).
    """

    metric: UpliftMetric
    baseline: float
    horizons: tuple[Horizon, ...]
    days_needed: int | None
    users_needed: int | None


@dataclass(frozen=True)
class Plan:
    """A plan for every metric.

    Args:
        settings: what was asked for.
        n_days: how long the log is.
        arrivals: users met by the end of each day of the log, from its first day on.
        metrics: one a metric.
        warnings: what the reader should mind.
    """

    settings: PlanSettings
    n_days: int
    arrivals: tuple[int, ...]
    metrics: tuple[MetricPlan, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        rest = {k: v for k, v in vars(self.settings).items() if k != "metrics"}
        return {
            **{k: list(v) if isinstance(v, tuple) else v for k, v in rest.items()},
            "log_days": self.n_days,
            "arrivals": list(self.arrivals),
            "metrics": [{**asdict(m), "metric": m.metric.name} for m in self.metrics],
            "warnings": list(self.warnings),
        }

    def table(self) -> Table:
        """One row per metric; a column a length with the smallest uplift, and what is needed."""
        lengths = [h.days for h in self.metrics[0].horizons]
        header = ["metric", "now", *(f"{days} days" for days in lengths)]
        uplift = self.settings.uplift
        if uplift is not None:
            header += [f"days for {100 * uplift:+g} %", "users"]
        rows = [["users met", "", *(f"{h.users:,}" for h in self.metrics[0].horizons)]]
        if uplift is not None:
            rows[0] += ["", ""]
        for found in self.metrics:
            row = [found.metric.name, shown(found.baseline, found.metric)]
            row += [
                percent(h.smallest_uplift) + ("*" if h.extrapolated else "") for h in found.horizons
            ]
            if uplift is not None:
                needed = found.days_needed
                row += [
                    f"> {REACH * self.n_days}" if needed is None else f"{needed}",
                    "-" if found.users_needed is None else f"{found.users_needed:,}",
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

    A test of d days is taken to meet the users of the log's last d days, as active as they were.
    Longer tests than the log are extrapolated: users and smallest uplift (its logarithm) go on as
    powers of the length, as they went from half of the log to all of it.

    Args:
        logs: exposures, whose arms do not matter, and clicks.
        settings: what the test shall show.

    Raises:
        MissingExtraError: tea-tasting is not installed.
        EmptyDataError: there were no clicks, or fewer than four users.
        SettingsError: a length is beyond what the log tells of.

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
    chosen = settings or PlanSettings()
    history = PastActivity(logs, chosen)
    if max(chosen.days) > REACH * history.n_days:
        raise SettingsError(
            f"a log of {history.n_days} days tells nothing of a test of {max(chosen.days)}; plan "
            f"for {REACH * history.n_days} days at most, or give a longer log"
        )
    known = history.moments(history.n_days).sums
    plans = [_plan_of(m, history) for m in chosen.metrics if set(m.sums) <= set(known)]
    if not plans:
        raise EmptyDataError("none of the metrics can be told from the logs")
    return Plan(chosen, history.n_days, history.arrivals, tuple(plans), _warnings(history))


def _plan_of(metric: UpliftMetric, history: PastActivity) -> MetricPlan:
    settings = history.settings
    whole = history.moments(history.n_days)
    baseline = whole.mean_of(metric.numerator) / whole.mean_of(metric.denominator)
    horizons = tuple(
        Horizon(
            days, round(history.users(days)), history.smallest_uplift(metric, days),
            days > history.n_days,
        )
        for days in sorted(set(settings.days))
    )  # fmt: skip
    wanted = settings.uplift
    if wanted is None:
        return MetricPlan(metric, baseline, horizons, None, None)
    weeks = range(WEEK, REACH * history.n_days + 1, WEEK)
    # longer tests show less, so that halving finds the length; long logs are read ten times only
    place = bisect_left(
        weeks, True, key=lambda days: history.smallest_uplift(metric, days) <= wanted
    )
    needed = weeks[place] if place < len(weeks) else None
    active = history.moments(min(needed or WEEK, history.n_days))
    users = math.ceil(solve(metric, active, settings, uplift=wanted))
    return MetricPlan(metric, baseline, horizons, needed, users)


def _warnings(history: PastActivity) -> tuple[str, ...]:
    told = [
        f"{days} days are not whole weeks, and days of the week differ: take "
        f"{WEEK * math.ceil(days / WEEK)}"
        for days in sorted(set(history.settings.days))
        if days % WEEK
    ]
    if history.n_days < 2 * WEEK:
        told.append(f"the log has {history.n_days} days; two weeks or more tell how users return")
    return tuple(told)
