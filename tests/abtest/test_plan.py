"""Plans: days and users for an uplift, the uplift for days and users, and whether it comes true."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.history import PastActivity, solve
from nearfar.abtest.logs import Logs, read_logs
from nearfar.abtest.metrics import METRICS
from nearfar.abtest.moments import Moments
from nearfar.abtest.plan import make_plan
from nearfar.abtest.plan_settings import PlanSettings, parse_numbers
from nearfar.abtest.simulate import Simulation, simulate_logs
from nearfar.core.errors import EmptyDataError, SettingsError
from tests.abtest.cases import experiments, measured

SIMULATION = Simulation(n_users=3000, days=28, pre_days=0, uplift=0.0, seed=3)


@pytest.fixture(scope="module")
def logs() -> Logs:
    return read_logs(*simulate_logs(SIMULATION, Experiment("none")))


def test_both_directions_agree(logs: Logs) -> None:
    plan = make_plan(logs, PlanSettings(uplift=0.3))
    assert plan.n_days == 28
    assert len(plan.metrics) == 4
    for found in plan.metrics:
        by_days = {h.days: h for h in found.horizons}
        assert found.days_needed in by_days
        assert by_days[found.days_needed].smallest_uplift <= 0.3
        if found.days_needed > 7:
            assert by_days[found.days_needed - 7].smallest_uplift > 0.3
        again = PlanSettings((found.metric,), users=found.users_needed, days=(found.days_needed,))
        (horizon,) = make_plan(logs, again).metrics[0].horizons
        assert horizon.smallest_uplift == pytest.approx(0.3, rel=0.005)
        assert found.users_needed <= by_days[found.days_needed].users


def test_longer_and_larger_tests_show_less(logs: Logs) -> None:
    for found in make_plan(logs).metrics:
        smallest = [h.smallest_uplift for h in found.horizons]
        assert smallest == sorted(smallest, reverse=True)
        assert [h.users for h in found.horizons] == sorted(h.users for h in found.horizons)
    few, many = (
        make_plan(logs, PlanSettings(users=n, days=(7,))).metrics[0].horizons[0].smallest_uplift
        for n in (1000, 4000)
    )
    assert np.log1p(few) / np.log1p(many) == pytest.approx(2, rel=0.001)


def test_users_are_counted_as_they_arrive(logs: Logs) -> None:
    plan = make_plan(logs, PlanSettings(days=(7, 28)))
    assert len(plan.arrivals) == 28
    assert list(plan.arrivals) == sorted(plan.arrivals)
    assert plan.arrivals[-1] == logs.exposures["user"].n_unique()
    assert (
        plan.arrivals[0]
        == logs.exposures.filter(pl.col("day") == logs.first_day)["user"].n_unique()
    )
    last_week = logs.between(logs.last_day - timedelta(days=6), None)
    assert plan.metrics[0].horizons[0].users == last_week.exposures["user"].n_unique()


def test_a_long_log_is_not_read_for_every_week(logs: Logs, monkeypatch) -> None:
    lengths = set()

    def told(self, metric, days: int) -> float:
        lengths.add(days)
        return 1 / days

    monkeypatch.setattr(PastActivity, "smallest_uplift", told)
    (found,) = make_plan(logs, PlanSettings(METRICS[:1], uplift=1 / 80, days=(7,))).metrics
    assert found.days_needed == 84
    assert len(lengths) <= 6  # of 16 weeks


def test_a_known_number() -> None:
    """16 s^2 / d^2 users an arm, nearly: the textbook's rule for alpha .05 and power .8.

    With s / mean and d of the logarithm.
    """
    moments = Moments(("clicks",), 100, np.array([2.0]), np.array([[9.0]]))
    users = solve(METRICS[2], moments, PlanSettings(), uplift=0.1)
    exact = 2 * (3 / 2) ** 2 * (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) ** 2 / np.log(1.1) ** 2
    assert users == pytest.approx(2 * exact, rel=0.001)
    assert solve(METRICS[2], moments, PlanSettings(), users=users) == pytest.approx(0.1, rel=0.001)


def test_unequal_and_several_arms_need_more_users() -> None:
    """Against the variance 1 / n_control + 1 / n_smallest."""
    moments = Moments(("clicks",), 100, np.array([2.0]), np.array([[9.0]]))
    even = solve(METRICS[2], moments, PlanSettings(), uplift=0.1)
    for weights, factor in {
        (9, 1): (1 / 0.9 + 1 / 0.1) / 4,
        (1, 1, 1): 6 / 4,
        (2, 3, 1): (3 + 6) / 4,
    }.items():
        users = solve(METRICS[2], moments, PlanSettings(weights=weights), uplift=0.1)
        assert users == pytest.approx(factor * even, rel=0.001)


@pytest.mark.slow
def test_planned_power_comes_true() -> None:
    """1,000 experiments of the size planned find the uplift four times in five."""
    history = next(experiments(replace(SIMULATION, days=7, seed=1), 1, 20_000))
    metric = METRICS[1]
    moments = Moments.of(history.sums, np.concatenate([history.control[0], history.treatment[0]]))
    users = solve(metric, moments, PlanSettings(), uplift=0.25)
    real = replace(SIMULATION, days=7, uplift=0.25, seed=2)
    p = [
        measured(metric, batch).p for batch in experiments(real, 1000, round(users / 2), at_once=50)
    ]
    assert (np.concatenate(p) < 0.05).mean() == pytest.approx(0.8, abs=0.05)


def test_beyond_the_log_it_goes_on_as_it_went(logs: Logs) -> None:
    """From two weeks on to four: extrapolated is near measured."""
    short = logs.between(logs.last_day - timedelta(days=13), None)
    told, real = (make_plan(part, PlanSettings(days=(28,))) for part in (short, logs))
    for guess, known in zip(told.metrics, real.metrics, strict=True):
        assert guess.horizons[0].extrapolated
        assert not known.horizons[0].extrapolated
        ratio = guess.horizons[0].smallest_uplift / known.horizons[0].smallest_uplift
        assert ratio == pytest.approx(1, abs=0.2)
        assert guess.horizons[0].users == pytest.approx(known.horizons[0].users, rel=0.1)
    assert "extrapolated" in str(told.table())
    with pytest.raises(SettingsError, match="plan for 56 days at most"):
        make_plan(short, PlanSettings(days=(70,)))


def test_part_weeks_and_short_logs_are_warned_of(logs: Logs) -> None:
    short = logs.between(logs.last_day - timedelta(days=8), None)
    plan = make_plan(short, PlanSettings(days=(10,), uplift=0.0001))
    told = " ".join(plan.warnings)
    assert "10 days are not whole weeks" in told
    assert "take 14" in told
    assert "the log has 9 days" in told
    assert plan.metrics[0].days_needed is None
    assert "> 36" in str(plan.table())
    assert make_plan(logs).warnings == ()
    json.dumps(plan.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"alpha": 0.0}, "alpha is 0"), ({"power": 1.0}, "power is 1"),
        ({"power": 0.01}, "not above alpha"), ({"uplift": -0.1}, "uplift is -0.1"),
        ({"days": ()}, "of length at least 1"), ({"users": 2}, "at least 4"),
        ({"weights": (1,)}, "at least 2"),
    ],
)  # fmt: skip
def test_bad_wishes_are_refused(wrong: dict, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        PlanSettings(**wrong)


def test_logs_that_tell_nothing_are_refused(logs: Logs) -> None:
    with pytest.raises(EmptyDataError, match="a plan needs a log in which it varies"):
        make_plan(Logs(logs.exposures, logs.clicks.clear()))
    with pytest.raises(EmptyDataError, match="fewer than 4 users"):
        PastActivity(Logs(logs.exposures.head(2), logs.clicks), PlanSettings())
    one_day = logs.between(logs.last_day, None)
    with pytest.raises(SettingsError, match="one day cannot plan longer tests"):
        make_plan(one_day, PlanSettings(days=(2,)))
    with pytest.raises(SettingsError, match="such as 7,14,28"):
        parse_numbers("7;14", "days")
