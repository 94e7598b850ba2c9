"""Coverage of the intervals of an A/B test over simulated experiments, and false positives of daily
looks.

`python -m benchmarks.abtest_coverage` writes benchmarks/abtest_coverage.json in five minutes.
"""

from __future__ import annotations

import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import provenance
from nearfar.abtest.bootstrap import percentiles
from nearfar.abtest.cuped import coefficient, covariate_of
from nearfar.abtest.metrics import METRICS
from nearfar.abtest.moments import Moments
from nearfar.abtest.sequential import always_valid
from nearfar.abtest.simulate import Simulation, draw_users, simulated_sums
from nearfar.abtest.uplift import measure
from nearfar.core.files import write_json
from nearfar.core.seeding import generator
from nearfar.evaluation.intervals import resampled_means

N_EXPERIMENTS = 2000
N_USERS = 800
"""Users per arm."""
N_RESAMPLES = 300
UPLIFT = 0.2
SIMULATION = Simulation(days=7, pre_days=7, cards=("home",), seed=1)
N_DAILY_LOOKS = 1000
"""Experiments that are tested on every day but the first."""
LOOK_DAYS = 28


def arm(
    simulation: Simulation, treated: bool, rng: np.random.Generator
) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the sums, and the sums of `N_USERS` users who saw a card."""
    names, values = simulated_sums(simulation, np.full(2 * N_USERS, treated), rng)
    return names, values[values[:, names.index("views")] > 0][:N_USERS]


def run(uplift: float) -> dict[str, Any]:
    """Return the share of experiments whose interval holds the true uplift, by metric and kind."""
    rng = np.random.default_rng(int(1000 * uplift))
    simulation = replace(SIMULATION, uplift=uplift)
    outcomes: dict[str, dict[str, list[bool]]] = {m.name: {} for m in METRICS}
    reductions: dict[str, list[float]] = {m.name: [] for m in METRICS}

    for i in range(N_EXPERIMENTS):
        sums, control = arm(simulation, False, rng)
        _, treatment = arm(simulation, True, rng)
        pair = (Moments.of(sums, control), Moments.of(sums, treatment))
        total = Moments.of(sums, np.concatenate([control, treatment]))
        control_means, treatment_means = (
            resampled_means(values, N_RESAMPLES, generator(i, "abtest bootstrap", name))
            for name, values in (("control", control), ("treatment", treatment))
        )
        for metric in METRICS:
            covariate = covariate_of(metric, total)
            assert covariate is not None
            theta = coefficient(metric, covariate, total)
            share = len(treatment) / (len(control) + len(treatment))
            widths = []
            for kind, control_variate, adjustment in (
                ("delta", None, None),
                ("cuped", covariate, (covariate, theta, share)),
            ):
                estimate = measure(metric, *pair, covariate=control_variate)
                boot = percentiles(metric, sums, control_means, treatment_means, 0.95, adjustment)
                assert boot is not None
                assert estimate.p is not None
                widths.append((estimate.difference_high or 0) - (estimate.difference_low or 0))
                for name, true in {
                    f"{kind} relative": _within(
                        uplift, estimate.relative_low, estimate.relative_high
                    ),
                    f"{kind} bootstrap relative": _within(
                        uplift, boot.relative_low, boot.relative_high
                    ),
                    f"{kind} p < .05": estimate.p < 0.05,
                }.items():
                    outcomes[metric.name].setdefault(name, []).append(true)
            reductions[metric.name].append(1 - (widths[1] / widths[0]) ** 2)
    return {
        name: {
            **{kind: float(np.mean(values)) for kind, values in kinds.items()},
            "cuped variance reduction": float(np.mean(reductions[name])),
        }
        for name, kinds in outcomes.items()
    }


def daily_looks(uplift: float) -> dict[str, float]:
    """Return the share of experiments in which the click rate differed significantly."""
    rng = np.random.default_rng(int(1000 * uplift) + 1)
    simulation = replace(SIMULATION, days=LOOK_DAYS, pre_days=0, uplift=uplift)
    significant: dict[str, list[bool]] = {}
    for _ in range(N_DAILY_LOOKS):
        arms = [_cumulated(simulation, treated, rng) for treated in (False, True)]
        fixed, valid = [], []
        for day in range(1, LOOK_DAYS):
            pair = [Moments.of(("views", "clicks"), a[a[:, day, 0] > 0, day]) for a in arms]
            p = measure(METRICS[0], *pair).p
            always = always_valid(METRICS[0], *pair, expected=UPLIFT)
            fixed.append(p is not None and p < 0.05)
            valid.append(always is not None and always.p < 0.05)
        for name, true in {
            "one look at the end": fixed[-1],
            "daily looks at p": any(fixed),
            "daily looks at the always valid p": any(valid),
        }.items():
            significant.setdefault(name, []).append(true)
    return {name: float(np.mean(values)) for name, values in significant.items()}


def _cumulated(simulation: Simulation, treated: bool, rng: np.random.Generator) -> np.ndarray:
    """Return cumulative views and clicks per user at the end of each day."""
    simulated = draw_users(simulation, np.full(N_USERS, treated), rng)
    sums = [counts.sum(axis=2).cumsum(axis=1) for counts in (simulated.views, simulated.clicks)]
    return np.stack(sums, axis=2).astype(np.float64)


def _within(value: float, low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low <= value <= high


def main() -> None:
    """Measure coverage and daily looks, write the record, and print it."""
    started = time.perf_counter()
    coverage = {f"uplift {uplift:g}": run(uplift) for uplift in (0.0, UPLIFT)}
    looks = {f"uplift {uplift:g}": daily_looks(uplift) for uplift in (0.0, UPLIFT)}
    value = {
        "experiments": N_EXPERIMENTS,
        "users_an_arm": N_USERS,
        "resamples": N_RESAMPLES,
        "level": 0.95,
        "found": coverage,
        "looked_at": {"experiments": N_DAILY_LOOKS, "days": LOOK_DAYS, "found": looks},
        "tea_tasting": version("tea-tasting"),
        "seconds": time.perf_counter() - started,
        **provenance(),
    }
    write_json(Path(__file__).with_suffix(".json"), value)
    for title, metrics in coverage.items():
        print(title)
        for name, kinds in metrics.items():
            print(f"  {name}: " + ", ".join(f"{k} {v:.3f}" for k, v in kinds.items()))
        print("  found: " + ", ".join(f"{k} {v:.3f}" for k, v in looks[title].items()))


if __name__ == "__main__":
    main()
