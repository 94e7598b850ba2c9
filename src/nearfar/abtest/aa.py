"""The A/A test: random splits of users into two halves must not differ more than by chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from nearfar.abtest.checks import Check
from nearfar.abtest.logs import Logs
from nearfar.abtest.metrics import METRICS, UpliftMetric
from nearfar.abtest.moments import Moments
from nearfar.abtest.units import known_sums, sums_of, user_sums
from nearfar.abtest.uplift import measure
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.extras import require
from nearfar.core.seeding import generator
from nearfar.evaluation.paired import holm

N_SPLITS = 200
MIN_SPLITS = 20


def check_aa(
    logs: Logs,
    metrics: tuple[UpliftMetric, ...] = METRICS,
    *,
    weights: tuple[int, int] = (1, 1),
    n_splits: int = N_SPLITS,
    alpha: float = 0.001,
    seed: int = 0,
    on_split: Callable[[int, int], object] | None = None,
) -> Check:
    """Check that p-values are uniform when the users of the log are split in two at random.

    Each split is analysed as an experiment. If p-values are not uniform (Kolmogorov-Smirnov test,
    Holm's correction over metrics), a few users or days dominate and the delta method does not
    hold for this log and metric: use more users, or leave the metric out.

    Args:
        logs: days without a test, or of a test, whose arms are ignored.
        metrics: the metrics to check.
        weights: relative sizes of the two halves.
        n_splits: number of random splits.
        alpha: the check fails if an adjusted p-value of uniformity is below this.
        seed: random seed of the splits.
        on_split: called with (splits done, all splits) after every split.

    Raises:
        MissingExtraError: tea-tasting is not installed.
        SettingsError: there are fewer than 20 splits.
        EmptyDataError: there are fewer than 40 users, or no metric has data.
    """
    require("tea_tasting", extra="abtest", purpose="an A/B test")
    if n_splits < MIN_SPLITS:
        raise SettingsError(f"{n_splits} splits are too few; take {MIN_SPLITS} or more")
    users = user_sums(logs)
    if users.height < 2 * MIN_SPLITS:
        least = 2 * MIN_SPLITS
        raise EmptyDataError(f"the log has {users.height} users; an A/A test needs {least} or more")
    sums, values = known_sums(users), sums_of(users)
    available = [
        m for m in metrics if set(m.sums) <= set(sums) and values[:, sums.index(m.sums[0])].any()
    ]
    if not available:
        names = ", ".join(m.name for m in metrics)
        raise EmptyDataError(
            f"from {logs.first_day} to {logs.last_day} there are no clicks to compute {names}"
        )
    p_values = np.ones((len(available), n_splits))
    rng = generator(seed, "abtest a/a")
    for split in range(n_splits):
        second = rng.random(len(values)) < weights[1] / sum(weights)
        halves = [Moments.of(sums, values[~second]), Moments.of(sums, values[second])]
        for i, metric in enumerate(available):
            p = measure(metric, *halves).p
            p_values[i, split] = 1.0 if p is None else p
        if on_split is not None:
            on_split(split + 1, n_splits)
    uniform = np.array([stats.kstest(p, "uniform").pvalue for p in p_values])
    adjusted = holm(uniform)
    rates = (p_values < 0.05).mean(axis=1)
    passed = bool((adjusted >= alpha).all())
    summary = ", ".join(
        f"{m.name} {100 * rate:.1f} %" for m, rate in zip(available, rates.tolist(), strict=True)
    )
    numbers = {
        m.name: {"below_05": float(rate), "p_uniform": float(p)}
        for m, rate, p in zip(available, rates, adjusted, strict=True)
    }
    return Check(
        "a_a", passed, f"{n_splits} random splits, p below .05 in: {summary} (5 % expected)",
        {"n_splits": n_splits, "metrics": numbers},
    )  # fmt: skip
