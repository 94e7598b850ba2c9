"""Looking every day: intervals that stay right, where fixed ones do not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from nearfar.abtest.metrics import METRICS
from nearfar.abtest.moments import Moments
from nearfar.abtest.sequential import always_valid, mixture
from nearfar.abtest.simulate import Simulation, draw_users
from nearfar.core.errors import SettingsError
from tests.abtest.cases import experiments

RATE, PER_USER = METRICS[0], METRICS[2]

positive = st.floats(0.001, 10)


@given(st.floats(-5, 5), positive, positive, st.floats(0.001, 0.5))
def test_p_and_interval_say_the_same(estimate, error, spread, alpha) -> None:
    half, p = mixture(estimate, error, spread, alpha)
    if not math.isclose(half, abs(estimate), rel_tol=1e-9):
        assert (p < alpha) == (abs(estimate) > half)
    assert 0 <= p <= 1


@pytest.mark.parametrize(("estimate", "error", "spread"), [(0.1, 0.05, 0.1), (0.3, 0.1, 0.05)])
def test_it_is_a_mixture_of_likelihood_ratios(estimate, error, spread) -> None:
    """p is 1 over the likelihood ratio, averaged over normal alternatives."""

    def ratio(effect: float) -> float:
        information = error**-2
        log = effect * estimate * information - effect**2 * information / 2
        return math.exp(log) * stats.norm.pdf(effect, scale=spread)

    mean, _ = integrate.quad(ratio, -2, 2, limit=400, points=[0, estimate])
    assert mixture(estimate, error, spread, 0.05)[1] == pytest.approx(min(1, 1 / mean), rel=1e-6)


def test_it_is_wider_than_a_fixed_interval_and_shrinks() -> None:
    halves = [mixture(0.0, error, 0.05, 0.05)[0] for error in (0.08, 0.04, 0.02, 0.01, 0.001)]
    fixed = [1.96 * error for error in (0.08, 0.04, 0.02, 0.01, 0.001)]
    assert all(h > f for h, f in zip(halves, fixed, strict=True))
    assert sorted(halves, reverse=True) == halves
    # the price is least where a fixed interval would have 80 % power for what is expected
    price = [mixture(0.0, 0.05 / z, 0.05, 0.05)[0] / (1.96 * 0.05 / z) for z in (0.7, 2.8, 11.2)]
    assert price[1] == min(price)
    assert price[1] == pytest.approx(1.55, abs=0.01)


def test_always_valid_is_the_mixture_of_the_logarithm() -> None:
    batch = next(experiments(Simulation(days=7, pre_days=0, seed=8), 1, 400))
    pair = [Moments.of(batch.sums, arm[0]) for arm in (batch.control, batch.treatment)]
    found = always_valid(RATE, *pair, expected=0.1)
    log, error = log_ratio(batch.control[0][None], batch.treatment[0][None], batch.sums)
    half, p = mixture(log[0], error[0], math.log(1.1), 0.05)
    assert found.low == pytest.approx(math.expm1(log[0] - half), rel=1e-8)
    assert found.high == pytest.approx(math.expm1(log[0] + half), rel=1e-8)
    assert found.p == pytest.approx(p, rel=1e-8)
    with pytest.raises(SettingsError, match="give one above 0"):
        always_valid(RATE, *pair, expected=0)


def test_no_clicks_no_interval() -> None:
    zeros, some = (Moments.of(("clicks",), np.array(v, float)[:, None]) for v in ([0, 0], [0, 1]))
    assert always_valid(PER_USER, zeros, some, expected=0.1) is None


def log_ratio(control: np.ndarray, treatment: np.ndarray, sums) -> tuple[np.ndarray, np.ndarray]:
    """The logarithm of the ratio of click rates and its standard error, of many experiments."""
    logs, variances = [], []
    for values in (control, treatment):
        clicks, views = values[:, :, sums.index("clicks")], values[:, :, sums.index("views")]
        rate = clicks.mean(axis=1) / views.mean(axis=1)
        part = (clicks - rate[:, None] * views) / views.mean(axis=1)[:, None] / rate[:, None]
        # users who have not come yet count as none: they are rows of zeros
        n = (views > 0).sum(axis=1)
        variances.append((part**2).sum(axis=1) / values.shape[1] ** 2 * n / (n - 1))
        logs.append(np.log(rate))
    return logs[1] - logs[0], np.sqrt(variances[0] + variances[1])


@pytest.mark.slow
def test_daily_looks_find_nothing_where_nothing_is() -> None:
    """Users return, and are as they were: 28 looks, alpha .05."""
    simulation = Simulation(days=28, pre_days=0, uplift=0.0, cards=("home",), seed=9)
    rng = np.random.default_rng(9)
    n_experiments, n = 2000, 400
    stopped, fooled = [], []
    for _ in range(n_experiments // 50):
        arms = []
        for _arm in range(2):
            drawn = draw_users(simulation, np.zeros(50 * n, dtype=bool), rng)
            views, clicks = (np.cumsum(a.sum(axis=2), axis=1) for a in (drawn.views, drawn.clicks))
            arms.append(np.stack([views, clicks], axis=2).reshape(50, n, 28, 2).astype(float))
        any_valid, any_fixed = np.zeros((50, 3), bool), np.zeros(50, bool)
        for day in range(1, 28):
            log, error = log_ratio(arms[0][:, :, day], arms[1][:, :, day], ("views", "clicks"))
            for i, spread in enumerate((0.1, 0.3, 1.0)):
                p = [mixture(*pair, spread, 0.05)[1] for pair in zip(log, error, strict=True)]
                any_valid[:, i] |= np.array(p) < 0.05
            any_fixed |= np.abs(log / error) > stats.norm.ppf(0.975)
        stopped.append(any_valid)
        fooled.append(any_fixed)
    assert np.mean(stopped, axis=(0, 1)).max() < 0.05
    assert np.mean(fooled) > 0.15  # what daily looks do to an interval made for one
