"""Gains on the same users: aligned rows over plain ones, the best autoencoder over EASE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from nearfar.evaluation.intervals import mean_interval, standard_error
from nearfar.evaluation.paired import Paired, compare, holm
from nearfar.experiments.reproduction.rows import EASE
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.metrics.metric import Metric


@dataclass(frozen=True)
class Gain:
    """The gain of one row over another on one metric.

    Args:
        users: paired comparison of the test users, pooled over the splits.
        by_seed: difference of each split.
        low, high: t interval of the mean difference over splits; None for fewer than two splits.
        p_splits: p value of a t test over the splits' differences; None for fewer than two splits.
    """

    users: Paired
    by_seed: dict[int, float]
    low: float | None
    high: float | None
    p_splits: float | None

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.users.to_dict(),
            "by_seed": {str(seed): value for seed, value in self.by_seed.items()},
            "over_splits": {"low": self.low, "high": self.high, "p": self.p_splits},
        }


def gains(
    summaries: Sequence[RowSummary], metrics: Sequence[Metric], level: float = 0.95
) -> list[Gain]:
    """Compare every aligned row with its plain one, and the best autoencoder with EASE.

    The best autoencoder is selected by the last metric on validation users, not by the test users
    on which it is compared. Rows are compared on the splits that both have; `p_holm` corrects for
    all comparisons returned.
    """
    by_label = {s.row.label: s for s in summaries if s.measured}
    pairs = [
        (by_label[s.row.plain], s)
        for s in by_label.values()
        if s.row.plain is not None and s.row.plain in by_label
    ]
    best = best_autoencoder(summaries, metrics[-1])
    if best is not None and EASE in by_label:
        pairs.append((by_label[EASE], best))
    result = [
        gain(plain, other, metric, level)
        for plain, other in pairs
        if set(plain.measured) & set(other.measured)
        for metric in metrics
    ]
    tested = [i for i, g in enumerate(result) if g.users.p is not None]
    p_values = holm(np.array([result[i].users.p for i in tested], np.float64))
    for i, p in zip(tested, p_values.tolist(), strict=True):
        result[i] = replace(result[i], users=replace(result[i].users, p_holm=p))
    return result


def best_autoencoder(summaries: Sequence[RowSummary], metric: Metric) -> RowSummary | None:
    """Return the variational autoencoder with the highest validation mean, or None."""
    means = [(s.validation(metric), s) for s in summaries if s.row.vae]
    measured = [(mean, s) for mean, s in means if mean is not None]
    return max(measured, key=lambda pair: pair[0])[1] if measured else None


def gain(plain: RowSummary, other: RowSummary, metric: Metric, level: float = 0.95) -> Gain:
    """Return the gain of `other` over `plain` on the splits that both have."""
    shared = [seed for seed in plain.measured if seed in other.measured]
    users = compare(
        plain.pooled(shared),
        other.pooled(shared),
        metric,
        level=level,
    )
    by_seed = {
        seed: other.measured[seed].test.mean(metric) - plain.measured[seed].test.mean(metric)
        for seed in shared
    }
    values = np.array(list(by_seed.values()))
    interval = mean_interval(values, level)
    return Gain(
        users=users,
        by_seed=by_seed,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p_splits=_t_test(values),
    )


def _t_test(values: np.ndarray) -> float | None:
    """Return the two-sided p value of a mean of 0; None for fewer than two values."""
    error = standard_error(values)
    if error is None:
        return None
    if not error:
        return 1.0 if not values.any() else 0.0
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1))
