"""2,000 simulated experiments: intervals hold the truth as often as they say, and no more.

The vectorised statistics of `cases` are those of the room; test_uplift holds them together.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from nearfar.abtest.cuped import Covariate, covariate_of
from nearfar.abtest.metrics import METRICS, UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.abtest.simulate import DAY_OF_WEEK, Simulation
from tests.abtest.cases import Measured, experiments, measured

N_EXPERIMENTS, N_USERS = 2400, 800
UPLIFT = 0.2

pytestmark = pytest.mark.slow


@cache
def all_measured(uplift: float) -> dict[tuple[str, bool], Measured]:
    """Every metric, with and without CUPED, of all experiments."""
    simulation = Simulation(
        days=7, pre_days=7, uplift=uplift, cards=("home",), seed=int(100 * uplift)
    )
    found: dict[tuple[str, bool], list[Measured]] = {}
    for batch in experiments(simulation, N_EXPERIMENTS, N_USERS):
        some = Moments.of(batch.sums, np.concatenate([*batch.control[:2], *batch.treatment[:2]]))
        for metric in METRICS:
            for cuped in (False, True):
                covariate = covariate_of(metric, some) if cuped else None
                key = metric.name, cuped
                found.setdefault(key, []).append(measured(metric, batch, covariate))
    names = Measured.__dataclass_fields__
    return {
        key: Measured(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))
        for key, parts in found.items()
    }


@pytest.mark.parametrize("cuped", [False, True], ids=["plain", "cuped"])
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_intervals_hold_the_true_uplift(metric: UpliftMetric, cuped: bool) -> None:
    found = all_measured(UPLIFT)[metric.name, cuped]
    held = (found.relative_low <= UPLIFT) & (found.relative_high >= UPLIFT)
    assert held.mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("cuped", [False, True], ids=["plain", "cuped"])
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_equal_arms_are_found_to_differ_in_one_of_twenty(metric: UpliftMetric, cuped: bool) -> None:
    found = all_measured(0.0)[metric.name, cuped]
    assert (found.p < 0.05).mean() == pytest.approx(0.05, abs=0.015)
    held = (found.low <= 0) & (found.high >= 0)
    assert held.mean() == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_cuped_takes_variance_away_and_adds_no_bias(metric: UpliftMetric) -> None:
    plain, cuped = (all_measured(UPLIFT)[metric.name, c] for c in (False, True))
    assert cuped.difference.var() < plain.difference.var()
    width = (cuped.high - cuped.low).mean() / (plain.high - plain.low).mean()
    spread = cuped.difference.std() / plain.difference.std()
    assert width == pytest.approx(spread, rel=0.1)  # it promises no more than it gives
    error = np.hypot(plain.difference.std(), cuped.difference.std()) / np.sqrt(N_EXPERIMENTS)
    assert cuped.difference.mean() == pytest.approx(plain.difference.mean(), abs=4 * error)


def test_cuped_takes_the_share_that_the_days_before_tell() -> None:
    """The squared correlation, here known: Poisson clicks about log-normal means that stay."""
    simulation = Simulation(days=7, pre_days=7, views=5.0, cards=("home",), activity_spread=0.5)
    metric, covariate = METRICS[2], Covariate("pre_clicks", None)
    reduction = []
    for batch in experiments(simulation, 600, 400):
        plain, cuped = (measured(metric, batch, c) for c in (None, covariate))
        reduction.append(1 - ((cuped.high - cuped.low) / (plain.high - plain.low)) ** 2)
    mean = 5.0 * DAY_OF_WEEK.sum() * 0.05
    shared = mean**2 * np.expm1(0.5**2 + 0.5**2)
    correlation = shared / (shared + mean)
    assert np.concatenate(reduction).mean() == pytest.approx(correlation**2, abs=0.03)
