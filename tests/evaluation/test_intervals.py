from __future__ import annotations

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.seeding import generator
from nearfar.evaluation.intervals import blocks, mean_interval, resampled_means, standard_error

METHODS = ["t", "bootstrap", "bca"]


@pytest.fixture
def skewed() -> np.ndarray:
    return np.random.default_rng(1).exponential(size=60)


def test_t_is_scipys(skewed: np.ndarray) -> None:
    found = mean_interval(skewed, 0.9)
    assert found is not None
    theirs = stats.ttest_1samp(skewed, 0).confidence_interval(0.9)
    assert_allclose([found.low, found.high], [theirs.low, theirs.high], rtol=1e-12)
    assert found.half_width == pytest.approx((theirs.high - theirs.low) / 2)
    assert standard_error(skewed) == pytest.approx(stats.sem(skewed), rel=1e-14)


@pytest.mark.parametrize(("method", "theirs"), [("bootstrap", "percentile"), ("bca", "BCa")])
def test_bootstrap_is_scipys_from_the_same_samples(
    skewed: np.ndarray, method: str, theirs: str
) -> None:
    """SciPy makes its intervals from our resampled means, so that chance plays no part."""
    means = resampled_means(skewed, 2000, generator(2, "bootstrap"))
    other = stats.bootstrap(
        (skewed,),
        np.mean,
        n_resamples=0,
        method=theirs,
        bootstrap_result=SimpleNamespace(bootstrap_distribution=means),
    ).confidence_interval
    ours = mean_interval(skewed, 0.95, method, seed=2, n_resamples=2000)
    assert ours is not None
    assert_allclose([ours.low, ours.high], [other.low, other.high], rtol=1e-12)


def test_bca_moves_towards_the_long_tail(skewed: np.ndarray) -> None:
    plain, corrected = (mean_interval(skewed, 0.95, m, 2) for m in ("bootstrap", "bca"))
    assert plain is not None
    assert corrected is not None
    assert corrected.low > plain.low
    assert corrected.high > plain.high + 0.015


@pytest.mark.parametrize("method", ["bootstrap", "bca"])
def test_the_seed_decides(skewed: np.ndarray, method: str) -> None:
    first = mean_interval(skewed, method=method, seed=5)
    assert mean_interval(skewed, method=method, seed=5) == first
    assert mean_interval(skewed, method=method, seed=6) != first


def test_columns_are_drawn_together(skewed: np.ndarray) -> None:
    """Column by column the same samples: what resampling one column alone gives."""
    pair = np.stack([skewed, 3 * skewed + 1], axis=1)
    means = resampled_means(pair, 50, generator(0))
    assert_allclose(means[:, 0], resampled_means(skewed, 50, generator(0)), rtol=1e-13)
    assert_allclose(means[:, 1], 3 * means[:, 0] + 1, rtol=1e-13)


@pytest.mark.parametrize(("cells", "rows"), [(1, 1), (10, 1), (29, 2), (30, 3), (1000, 7)])
def test_a_block_holds_no_more_cells_than_it_may_but_a_row(cells: int, rows: int) -> None:
    found = list(blocks(7, 10, cells))
    assert [n for block in found for n in range(7)[block]] == list(range(7))
    assert max(len(range(7)[block]) for block in found) == rows


def test_bca_of_values_on_both_sides_alike_is_on_both_sides_alike() -> None:
    """Many resampled means are exactly the mean: half of them count as below it."""
    found = mean_interval(np.repeat([-1.0, 1.0], 10), method="bca")
    assert found is not None
    assert found.low + found.high == pytest.approx(0, abs=0.05)
    assert 0.3 < found.high < 0.6


def test_memory_is_bounded() -> None:
    values = np.random.default_rng(0).random(50_000)
    tracemalloc.start()
    resampled_means(values, 100, generator(0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6  # all draws at once would take 40 MB


@pytest.mark.parametrize("method", METHODS)
def test_holds_the_true_mean_as_often_as_it_says(method: str) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for trial in range(300):
        found = mean_interval(rng.beta(2, 3, size=40), 0.9, method, trial, 400)
        assert found is not None
        held += found.low <= 0.4 <= found.high
    # 270 expected; 3.5 standard deviations of a binomial are 18
    assert 250 <= held <= 288


@pytest.mark.parametrize("method", METHODS)
def test_a_higher_level_is_wider(skewed: np.ndarray, method: str) -> None:
    narrow, wide = mean_interval(skewed, 0.5, method), mean_interval(skewed, 0.99, method)
    assert narrow is not None
    assert wide is not None
    assert wide.low < narrow.low < skewed.mean() < narrow.high < wide.high


@pytest.mark.parametrize("method", METHODS)
def test_one_user_or_none_has_no_interval(method: str) -> None:
    assert mean_interval(np.array([0.5]), method=method) is None
    assert mean_interval(np.array([]), method=method) is None
    assert standard_error(np.array([0.5])) is None


@pytest.mark.parametrize("method", METHODS)
def test_equal_values_leave_no_doubt(method: str) -> None:
    found = mean_interval(np.full(9, 0.25), method=method)
    assert found is not None
    assert (found.low, found.high) == (0.25, 0.25)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, -0.1])
def test_refuses_what_is_no_level(level: float) -> None:
    with pytest.raises(SettingsError, match="between 0 and 1"):
        mean_interval(np.arange(3.0), level)


def test_refuses_an_unknown_method() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'bootstrap'"):
        mean_interval(np.arange(3.0), method="bootstrp")
