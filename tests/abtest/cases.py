"""Small logs, many simulated experiments at once, and the delta method a second time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from scipy import stats

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.cuped import Covariate
from nearfar.abtest.metrics import UpliftMetric
from nearfar.abtest.simulate import Simulation, simulated_sums

DAY = date(2025, 9, 1)
TWO = Experiment("two", start=DAY)


def moment(day: int, hour: int = 12) -> datetime:
    """A moment so many days after the first."""
    return datetime(2025, 9, 1, hour) + timedelta(days=day)


def exposures(*rows: tuple, **more: list) -> pl.DataFrame:
    """Exposures from (user, arm, day, card, views)."""
    frame = pl.DataFrame(
        [(u, a, moment(d), c, v) for u, a, d, c, v in rows],
        schema={
            "user": pl.String, "arm": pl.String, "timestamp": pl.Datetime("us"),
            "card": pl.String, "views": pl.Int64,
        },
        orient="row",
    )  # fmt: skip
    return frame.with_columns(**{name: pl.Series(values) for name, values in more.items()})


def clicks(*rows: tuple) -> pl.DataFrame:
    """Clicks from (user, day, card, play_seconds)."""
    return pl.DataFrame(
        [(u, moment(d, 13), c, s) for u, d, c, s in rows],
        schema={
            "user": pl.String, "timestamp": pl.Datetime("us"), "card": pl.String,
            "play_seconds": pl.Float64,
        },
        orient="row",
    )  # fmt: skip


@dataclass(frozen=True)
class Batch:
    """Many experiments of one size: arrays of experiments x users x sums."""

    sums: tuple[str, ...]
    control: np.ndarray
    treatment: np.ndarray


def experiments(
    simulation: Simulation, n_experiments: int, n_users: int, *, at_once: int = 100
) -> Iterator[Batch]:
    """Simulated experiments in which every user has a view; n_users an arm."""
    rng = np.random.default_rng(simulation.seed)
    for start in range(0, n_experiments, at_once):
        n = min(at_once, n_experiments - start)
        arms = []
        names: tuple[str, ...] = ()
        for treated in (False, True):
            rows: list[np.ndarray] = []
            while sum(map(len, rows)) < n * n_users:
                names, values = simulated_sums(simulation, np.full(n * n_users, treated), rng)
                rows.append(values[values[:, names.index("views")] > 0])
            arms.append(np.concatenate(rows)[: n * n_users].reshape(n, n_users, -1))
        yield Batch(names, *arms)


@dataclass(frozen=True)
class Measured:
    """Of every experiment: estimates, intervals, p-values."""

    difference: np.ndarray
    low: np.ndarray
    high: np.ndarray
    relative: np.ndarray
    relative_low: np.ndarray
    relative_high: np.ndarray
    p: np.ndarray


def measured(
    metric: UpliftMetric, batch: Batch, covariate: Covariate | None = None, level: float = 0.95
) -> Measured:
    """The delta method with Welch's degrees of freedom, for all experiments at once."""
    y_c, v_c = _ratio(batch.control, batch.sums, metric.numerator, metric.denominator)
    y_t, v_t = _ratio(batch.treatment, batch.sums, metric.numerator, metric.denominator)
    if covariate is not None:
        both = np.concatenate([batch.control, batch.treatment], axis=1)
        pair = (covariate.numerator, covariate.denominator)
        _, part_y = _ratio(both, batch.sums, metric.numerator, metric.denominator)
        x, part_x = _ratio(both, batch.sums, *pair)
        theta = (part_y * part_x).sum(axis=1) / (part_x**2).sum(axis=1)
        x_c, w_c = _ratio(batch.control, batch.sums, *pair)
        x_t, w_t = _ratio(batch.treatment, batch.sums, *pair)
        y_c, v_c = y_c - theta * (x_c - x), v_c - theta[:, None] * w_c
        y_t, v_t = y_t - theta * (x_t - x), v_t - theta[:, None] * w_t
    low, high, p = _welch(y_c, y_t, v_c, v_t, level, y_t - y_c)
    log_low, log_high, _ = _welch(
        y_c, y_t, v_c / y_c[:, None], v_t / y_t[:, None], level, np.log(y_t / y_c)
    )
    return Measured(y_t - y_c, low, high, y_t / y_c - 1, np.expm1(log_low), np.expm1(log_high), p)


def _ratio(
    values: np.ndarray, sums: tuple[str, ...], numerator: str, denominator: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """The ratio of means, and every user's part in its error."""
    above = values[:, :, sums.index(numerator)]
    below = np.ones_like(above) if denominator is None else values[:, :, sums.index(denominator)]
    ratio = above.mean(axis=1) / below.mean(axis=1)
    return ratio, (above - ratio[:, None] * below) / below.mean(axis=1)[:, None]


def _welch(y_c, y_t, parts_c, parts_t, level, estimate):
    error_c = parts_c.var(axis=1, ddof=1) / parts_c.shape[1]
    error_t = parts_t.var(axis=1, ddof=1) / parts_t.shape[1]
    error = np.sqrt(error_c + error_t)
    df = error**4 / (error_c**2 / (parts_c.shape[1] - 1) + error_t**2 / (parts_t.shape[1] - 1))
    reach = stats.t.ppf((1 + level) / 2, df) * error
    return estimate - reach, estimate + reach, 2 * stats.t.sf(np.abs(estimate / error), df)
