"""Several algorithms on one split: fitted, measured, compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.algorithms.algorithm import Algorithm
from nearfar.core import settings
from nearfar.data.interactions import Split
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, evaluate
from nearfar.evaluation.paired import compare
from nearfar.metrics.metric import Metric
from nearfar.models.model import Model
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run


@dataclass(frozen=True, eq=False)
class Trial:
    """One algorithm fitted on a split's training users and measured on its test users.

    `fit_seconds` is the wall-clock time of `fit`, validation included.
    """

    name: str
    algorithm: Algorithm
    model: Model
    validation: Evaluation
    test: Evaluation
    fit_seconds: float
    records: tuple[EpochRecord, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "algorithm": settings.to_plain(self.algorithm),
            "validation": self.validation.to_dict(),
            "test": self.test.to_dict(),
            "fit_seconds": self.fit_seconds,
            "n_epochs": len(self.records),
            "best_epoch": max((r.epoch for r in self.records if r.best), default=None),
        }


def run_trial(
    name: str,
    algorithm: Algorithm,
    split: Split,
    run: Run,
    metrics: Sequence[Metric] = DEFAULT_METRICS,
) -> Trial:
    """Fit on the training users, choose by the validation users, measure on the test users."""
    started = time.perf_counter()
    model = algorithm.fit(split.train, split.validation, run=run)
    fit_seconds = time.perf_counter() - started
    return Trial(
        name,
        algorithm.as_fitted(model).resolved(split.train),
        model,
        evaluate(model, split.validation, metrics),
        evaluate(model, split.test, metrics),
        fit_seconds,
        tuple(run.history.records),
    )


def run_trials(
    algorithms: Mapping[str, Algorithm],
    split: Split,
    make_run: Callable[[str], Run],
    metrics: Sequence[Metric] = DEFAULT_METRICS,
) -> list[Trial]:
    """A trial for each, in order; `make_run` gives each its own run."""
    return [run_trial(n, a, split, make_run(n), metrics) for n, a in algorithms.items()]


def paired(trials: Sequence[Trial], baseline: str, challenger: str) -> list[dict[str, Any]]:
    """Challenger minus baseline on the same test users, one entry a metric."""
    by_name = {t.name: t.test for t in trials}
    a, b = by_name[baseline], by_name[challenger]
    return [compare(a, b, metric).to_dict() for metric in a.per_user]
