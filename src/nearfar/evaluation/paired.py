"""Paired tests: whether one model serves the same users better than another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from scipy import stats

from nearfar.core.errors import DataError, SettingsError, UnknownNameError
from nearfar.core.seeding import generator
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.intervals import (
    N_RESAMPLES,
    Interval,
    mean_interval,
    resampled_means,
    standard_error,
)
from nearfar.evaluation.text import p_value, with_half_width
from nearfar.metrics.metric import Metric, parse_metric

Test = Literal["t", "bootstrap", "permutation"]

ROUNDING = 1e-12
"""Relative difference below which two means count as equal: it is rounding error of their sums."""

BLOCK_SIGNS = 1 << 21
"""Most random signs in memory at once: about 32 MiB, for any number of users."""


@dataclass(frozen=True)
class Paired:
    """The result of a paired test of model `b` against model `a`: every difference is b - a.

    Args:
        metric: the metric compared.
        a: name of the reference model.
        b: name of the model tested against it.
        n_users: number of users.
        mean_a: mean of `a`.
        mean_b: mean of `b`.
        difference: mean_b - mean_a.
        interval: confidence interval of the difference; None for fewer than two users.
        effect: the difference in standard errors; None if that error is 0 or unknown.
        p: two-sided p-value: the probability of a difference at least this large between equal
            models; None for fewer than two users.
        method: the test.
        better_share: share of users with a higher value under `b`.
        worse_share: share of users with a lower value under `b`.
        tied_share: share of users with equal values.
        p_holm: `p` after Holm's correction for all comparisons made together; None for one.

    Examples:
        >>> a, b = (nf.evaluate(model, split.test, ["Recall@5"]) for model in (ease, vae))
        >>> pair = nf.compare(a, b, "Recall@5")
        >>> pair.n_users, pair.interval.level
        (10, 0.95)
    """

    metric: Metric
    a: str
    b: str
    n_users: int
    mean_a: float
    mean_b: float
    difference: float
    interval: Interval | None
    effect: float | None
    p: float | None
    method: str
    better_share: float
    worse_share: float
    tied_share: float
    p_holm: float | None = None

    def __str__(self) -> str:
        half_width = self.interval.half_width if self.interval else None
        gain = with_half_width(self.difference, half_width, self.metric, signed=True)
        corrected = "" if self.p_holm is None else f", Holm-adjusted {p_value(self.p_holm)}"
        return (
            f"{self.metric}: {self.b} minus {self.a} {gain} on {self.n_users} users "
            f"({self.method}, p {p_value(self.p)}{corrected})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-able values; a value that does not exist is None."""
        fields = {k: v for k, v in vars(self).items() if k not in ("metric", "interval")}
        return {
            "metric": str(self.metric),
            **fields,
            "low": self.interval.low if self.interval else None,
            "high": self.interval.high if self.interval else None,
            "level": self.interval.level if self.interval else None,
        }


def compare(
    a: Evaluation,
    b: Evaluation,
    metric: Metric | str,
    *,
    method: Test = "t",
    level: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Paired:
    """Test the difference of `b` from `a` over the same users, with a two-sided paired test.

    "t" is the paired t test. "bootstrap" resamples the mean difference: its interval is by
    percentiles, its p-value from differences shifted to mean 0. "permutation" flips the sign of
    each user's difference at random; its interval is the t interval. Resampled p-values are
    (1 + number as extreme) / (1 + resamples), so never 0. If no user's value differs, p is 1.

    Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapters 15
    (permutation) and 16 (bootstrap tests).

    Raises:
        DataError: the users or their numbers of held-out items differ.
        UnknownNameError: the metric was not evaluated, or there is no such method.
        SettingsError: the metric has no value per user, or `level` is not between 0 and 1.
    """
    tests: dict[str, Callable[[np.ndarray], float]] = {
        "t": _t_test,
        "bootstrap": lambda gains: _shifted_bootstrap(gains, seed, n_resamples),
        "permutation": lambda gains: _sign_flips(gains, seed, n_resamples),
    }
    if method not in tests:
        raise UnknownNameError("paired test", method, tests)
    _check_same_users(a, b)
    if not isinstance(metric, str | Metric):
        raise SettingsError(
            f"metric is {metric!r}; expected one metric. For a table of several write "
            "nf.compare([a, b], metrics=[...])"
        )
    metric = parse_metric(metric) if isinstance(metric, str) else metric
    gains = b.values(metric) - a.values(metric)
    gain_error = _error(gains)
    difference = _mean(gains)
    interval_method = "bootstrap" if method == "bootstrap" else "t"
    return Paired(
        metric=metric,
        a=a.name,
        b=b.name,
        n_users=a.n_users,
        mean_a=a.mean(metric),
        mean_b=b.mean(metric),
        difference=difference,
        interval=mean_interval(gains, level, interval_method, seed, n_resamples),
        effect=difference / gain_error if gain_error else None,
        p=tests[method](gains) if len(gains) > 1 else None,
        method=method,
        better_share=_mean(gains > 0),
        worse_share=_mean(gains < 0),
        tied_share=_mean(gains == 0),
    )


def compare_all(
    evaluations: Mapping[str, Evaluation],
    baseline: str,
    metrics: Sequence[Metric | str] | None = None,
    *,
    method: Test = "t",
    level: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> list[Paired]:
    """Compare every model with the baseline on every metric, metrics in the outer loop.

    `p_holm` corrects for all comparisons returned. Models are named by their keys.

    Args:
        evaluations: name -> evaluation, all with the same users.
        baseline: name of the model that the others are compared with.
        metrics: metrics or their printed forms; by default all metrics of the baseline with one
            value per user.
        method: the test, see `compare`.
        level: confidence level of the intervals, which are not corrected.
        seed: random seed of the resampling.
        n_resamples: number of resamples.

    Raises:
        UnknownNameError: no evaluation is called `baseline`; see also `compare`.
        DataError: the evaluations have different users.
    """
    if baseline not in evaluations:
        raise UnknownNameError("baseline", baseline, evaluations)
    others = {name: replace(evaluation, name=name) for name, evaluation in evaluations.items()}
    baseline_evaluation = others.pop(baseline)
    metrics = tuple(baseline_evaluation.per_user) if metrics is None else metrics
    pairs = [
        compare(
            baseline_evaluation,
            other,
            metric,
            method=method,
            level=level,
            seed=seed,
            n_resamples=n_resamples,
        )
        for metric in metrics
        for other in others.values()
    ]
    p_values = np.array([pair.p for pair in pairs if pair.p is not None], dtype=np.float64)
    corrected = iter(holm(p_values).tolist())
    return [pair if pair.p is None else replace(pair, p_holm=next(corrected)) for pair in pairs]


def holm(p: Float64[np.ndarray, " tests"]) -> Float64[np.ndarray, " tests"]:
    """Adjust p-values so that the probability of any false positive stays below the level.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure": the j-th
    smallest of m is multiplied by m - j + 1, and adjusted values keep the order.
    """
    order = np.argsort(p, kind="stable")
    scaled = np.minimum(p[order] * np.arange(len(p), 0, -1), 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.maximum.accumulate(scaled)
    return adjusted


def _check_same_users(a: Evaluation, b: Evaluation) -> None:
    if a.user_ids.fingerprint != b.user_ids.fingerprint:
        raise DataError(
            f"{a.name!r} was evaluated on {a.n_users} users and {b.name!r} on {b.n_users}; they "
            "are not the same users in the same order; evaluate both on one split"
        )
    if not np.array_equal(a.n_held_out, b.n_held_out):
        raise DataError(
            f"{a.name!r} and {b.name!r} had different held-out items for the same users; "
            "evaluate both on one split"
        )
    if a.n_users == 0:
        raise DataError(f"{a.name!r} and {b.name!r} have no users to compare")


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _error(gains: Float64[np.ndarray, " users"]) -> float:
    """Return the standard error; 0 if it is unknown or only rounding error of equal gains."""
    error = standard_error(gains) or 0.0
    return 0.0 if error <= ROUNDING * abs(gains.mean()) else error


def _t_test(gains: Float64[np.ndarray, " users"]) -> float:
    if not gains.any():
        return 1.0
    error = _error(gains)
    if not error:
        return 0.0  # all gains are equal and not 0
    return float(2 * stats.t.sf(abs(gains.mean()) / error, len(gains) - 1))


def _shifted_bootstrap(gains: Float64[np.ndarray, " users"], seed: int, n_resamples: int) -> float:
    means = resampled_means(gains - gains.mean(), n_resamples, generator(seed, "bootstrap test"))
    return _share_as_extreme(means, gains.mean())


def _sign_flips(gains: Float64[np.ndarray, " users"], seed: int, n_resamples: int) -> float:
    rng = generator(seed, "sign flips")
    nonzero_gains = gains[gains != 0]  # flipping the sign of 0 changes nothing
    means = np.empty(n_resamples)
    for block in blocks(n_resamples, len(nonzero_gains), BLOCK_SIGNS):
        signs = rng.integers(
            0, 2, size=(block.stop - block.start, len(nonzero_gains)), dtype=np.int8
        )
        means[block] = (2.0 * signs - 1) @ nonzero_gains / len(gains)
    return _share_as_extreme(means, gains.mean())


def blocks(n_rows: int, n_columns: int, cells: int) -> Iterator[slice]:
    """Yield slices of at least one row each, and at most `cells` cells where possible."""
    step = max(1, cells // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _share_as_extreme(means: Float64[np.ndarray, " resamples"], mean: float) -> float:
    as_extreme = np.abs(means) >= abs(mean) * (1 - ROUNDING)
    return float((1 + as_extreme.sum()) / (1 + len(means)))
