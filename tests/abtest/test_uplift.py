"""The delta method, CUPED and the bootstrap against SciPy and against formulas of their own."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nearfar.abtest.bootstrap import percentiles
from nearfar.abtest.cuped import Covariate, coefficient, covariate_of
from nearfar.abtest.metrics import METRICS, SUMS, UpliftMetric, find_metrics, shown
from nearfar.abtest.moments import Moments
from nearfar.abtest.simulate import Simulation
from nearfar.abtest.uplift import Uplift, measure
from nearfar.core.errors import EmptyDataError, UnknownNameError
from nearfar.core.seeding import generator
from nearfar.evaluation.intervals import resampled_means
from tests.abtest.cases import Batch, experiments, measured

BY_NAME = {m.name: m for m in METRICS}
RATE, PER_USER = BY_NAME["clicks_per_view"], BY_NAME["clicks_per_user"]


@pytest.fixture(scope="module")
def batch() -> Batch:
    return next(experiments(Simulation(days=7, pre_days=7, seed=5), 4, 300))


def arms(batch: Batch, i: int = 0) -> tuple[Moments, Moments]:
    return Moments.of(batch.sums, batch.control[i]), Moments.of(batch.sums, batch.treatment[i])


def total(batch: Batch, i: int = 0) -> Moments:
    return Moments.of(batch.sums, np.concatenate([batch.control[i], batch.treatment[i]]))


def numbers(found: Uplift) -> list[float | None]:
    return [
        found.difference, found.difference_low, found.difference_high, found.relative,
        found.relative_low, found.relative_high, found.p,
    ]  # fmt: skip


def test_a_mean_is_welchs_t_test(batch: Batch) -> None:
    at = batch.sums.index("clicks")
    theirs = stats.ttest_ind(batch.treatment[0][:, at], batch.control[0][:, at], equal_var=False)
    found = measure(PER_USER, *arms(batch))
    ends = theirs.confidence_interval(0.95)
    assert_allclose([found.difference_low, found.difference_high], ends, rtol=1e-9)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert found.control == pytest.approx(batch.control[0][:, at].mean())


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_ratios_are_the_delta_method(batch: Batch, metric: UpliftMetric) -> None:
    again = measured(metric, batch)
    for i in range(4):
        found = measure(metric, *arms(batch, i))
        theirs = [
            getattr(again, name)[i]
            for name in (
                "difference", "low", "high", "relative", "relative_low", "relative_high", "p",
            )
        ]  # fmt: skip
        assert_allclose(numbers(found), theirs, rtol=1e-8)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_cuped_is_a_regression_on_the_days_before(batch: Batch, metric: UpliftMetric) -> None:
    covariate = covariate_of(metric, total(batch))
    assert covariate is not None
    again = measured(metric, batch, covariate)
    found = measure(metric, *arms(batch), covariate=covariate)
    theirs = [again.difference[0], again.low[0], again.high[0], again.relative[0]]
    assert_allclose(numbers(found)[:4], theirs, rtol=1e-8)
    assert found.p == pytest.approx(again.p[0], rel=1e-8)


def test_theta_is_the_slope_of_a_line(batch: Batch) -> None:
    covariate = Covariate("pre_clicks", None)
    both = np.concatenate([batch.control[0], batch.treatment[0]])
    x, y = (both[:, batch.sums.index(name)] for name in ("pre_clicks", "clicks"))
    theirs = stats.linregress(x, y).slope
    assert coefficient(PER_USER, covariate, total(batch)) == pytest.approx(theirs, rel=1e-10)


def test_covariates_need_something_that_varies(batch: Batch) -> None:
    moments = total(batch)
    assert covariate_of(RATE, moments) == Covariate("pre_clicks", "pre_views")
    assert covariate_of(PER_USER, moments) == Covariate("pre_clicks", None)
    during = Moments.of(SUMS, batch.control[0][:, :4])
    assert covariate_of(RATE, during) is None
    values = batch.control[0].copy()
    values[:, batch.sums.index("pre_views")] = 0
    assert covariate_of(RATE, Moments.of(batch.sums, values)) == Covariate("pre_clicks", None)
    values[:, batch.sums.index("pre_clicks")] = 0
    assert covariate_of(RATE, Moments.of(batch.sums, values)) is None


def test_a_covariate_that_says_nothing_changes_little() -> None:
    rng = np.random.default_rng(0)
    sums = ("clicks", "pre_clicks")
    control, treatment = (
        Moments.of(
            sums, np.column_stack([rng.poisson(m, 5000), rng.poisson(3, 5000)]).astype(float)
        )
        for m in (1.0, 1.2)
    )
    plain = measure(PER_USER, control, treatment)
    adjusted = measure(PER_USER, control, treatment, covariate=Covariate("pre_clicks", None))
    assert adjusted.difference == pytest.approx(plain.difference, abs=0.003)
    assert adjusted.p == pytest.approx(plain.p, rel=0.5)


def moments_of(*clicks: float) -> Moments:
    return Moments.of(("clicks",), np.array(clicks, dtype=float)[:, None])


def test_what_does_not_exist_is_none() -> None:
    """No clicks at all, none in the control, the same of all users."""
    nothing = measure(PER_USER, moments_of(0, 0, 0), moments_of(0, 0))
    assert numbers(nothing) == [0, None, None, None, None, None, None]
    only_new = measure(PER_USER, moments_of(0, 0, 0), moments_of(0, 1, 2))
    assert only_new.relative is None
    assert only_new.relative_low is None
    assert 0 < only_new.p < 1
    constant = measure(PER_USER, moments_of(1, 1), moments_of(2, 2))
    assert numbers(constant) == [1, None, None, 1, None, None, None]
    lost = measure(PER_USER, moments_of(0, 1, 2), moments_of(0, 0, 0))
    assert lost.relative is None
    assert lost.difference == pytest.approx(-1)
    with pytest.raises(EmptyDataError, match="two or more"):
        moments_of(1)


def test_level_widens(batch: Batch) -> None:
    narrow, wide = (measure(RATE, *arms(batch), level=level) for level in (0.8, 0.99))
    assert wide.difference_low < narrow.difference_low < narrow.difference_high
    assert wide.relative_high > narrow.relative_high
    assert wide.p == narrow.p


def test_bootstrap_is_scipys_from_the_same_samples(batch: Batch) -> None:
    control, treatment = (
        resampled_means(v[0], 500, generator(1, "abtest bootstrap", a))
        for v, a in ((batch.control, "c"), (batch.treatment, "t"))
    )
    clicks, views = batch.sums.index("clicks"), batch.sums.index("views")
    rates = [means[:, clicks] / means[:, views] for means in (control, treatment)]
    found = percentiles(RATE, batch.sums, control, treatment, 0.95)
    for pair, distribution in (
        ((found.difference_low, found.difference_high), rates[1] - rates[0]),
        ((found.relative_low, found.relative_high), rates[1] / rates[0] - 1),
    ):
        theirs = stats.bootstrap(
            (batch.control[0][:, clicks],), np.mean, n_resamples=0, method="percentile",
            bootstrap_result=SimpleNamespace(bootstrap_distribution=distribution),
        ).confidence_interval  # fmt: skip
        assert_allclose(pair, [theirs.low, theirs.high], rtol=1e-12)


def test_samples_keep_a_users_sums_together(batch: Batch) -> None:
    """Were views and clicks drawn apart, rates would vary far more."""
    means = resampled_means(batch.control[0], 4000, generator(1, "abtest bootstrap", "c"))
    moments = arms(batch)[0]
    slope = moments.gradient("clicks", "views")
    error = np.sqrt(slope @ moments.covariance @ slope / moments.n)
    rates = means[:, batch.sums.index("clicks")] / means[:, batch.sums.index("views")]
    assert rates.std() == pytest.approx(error, rel=0.1)
    assert_allclose(means.mean(axis=0), moments.mean, rtol=0.02)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
def test_bootstrap_and_delta_agree(metric: UpliftMetric) -> None:
    """With and without CUPED, on arms large enough that both are right."""
    large = next(experiments(Simulation(days=7, pre_days=7, seed=6), 1, 6000))
    means = [
        resampled_means(v[0], 1500, generator(2, "abtest bootstrap", a))
        for v, a in ((large.control, "c"), (large.treatment, "t"))
    ]
    covariate = covariate_of(metric, total(large))
    theta = coefficient(metric, covariate, total(large))
    for adjustment in (None, (covariate, theta, 0.5)):
        by = adjustment[0] if adjustment else None
        delta = measure(metric, *arms(large), covariate=by)
        found = percentiles(metric, large.sums, *means, 0.95, adjustment)
        width = delta.difference_high - delta.difference_low
        assert found.difference_low == pytest.approx(delta.difference_low, abs=0.1 * width)
        assert found.difference_high == pytest.approx(delta.difference_high, abs=0.1 * width)
        width = delta.relative_high - delta.relative_low
        assert found.relative_low == pytest.approx(delta.relative_low, abs=0.1 * width)
        assert found.relative_high == pytest.approx(delta.relative_high, abs=0.1 * width)


def test_bootstrap_without_clicks_in_the_control() -> None:
    control = np.zeros((50, 1))
    treatment = np.full((50, 1), 2.0)
    found = percentiles(PER_USER, ("clicks",), control, treatment, 0.95)
    assert (found.difference_low, found.relative_low) == (2.0, None)
    rate = UpliftMetric("r", "R", "clicks", "views", "share")
    assert percentiles(rate, ("clicks", "views"), np.zeros((5, 2)), np.ones((5, 2)), 0.95) is None


def test_metrics_are_found_by_name() -> None:
    assert find_metrics(None) == METRICS
    assert find_metrics("clicks_per_user, clicks_per_view") == (PER_USER, RATE)
    with pytest.raises(UnknownNameError, match="did you mean 'clicks_per_view'"):
        find_metrics("click_per_view")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(0.0441, "share", "4.41 %"), (19.4321, "share", "1,943 %"), (0.52031, "count", "0.5203"),
     (85.2, "seconds", "85.2 s"), (12345.6, "seconds", "12,346 s"), (999.7, "seconds", "999.7 s")],
)  # fmt: skip
def test_values_for_people(value: float, unit, text: str) -> None:
    assert shown(value, UpliftMetric("m", "M", "clicks", None, unit)) == text
