"""The demo: four algorithms on MovieLens-100K, compared, and ten recommended films."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.core import settings
from nearfar.core.files import write_json
from nearfar.data.filters import Filters
from nearfar.data.interactions import Split
from nearfar.data.log import read_log
from nearfar.data.splits.folder import save_split
from nearfar.data.splits.strong import split_strong
from nearfar.evaluation.evaluate import Evaluation, evaluate
from nearfar.evaluation.paired import compare
from nearfar.models.model import Model
from nearfar.report.training_curves import plot_training
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run

PLAIN, ALIGNED = "Mult-VAE", "Mult-VAE + PIA"
HELD_OUT_SHARE = 0.15
FILTERS = Filters(min_rating=4, min_user=5)
TASTE = ("Star Wars", "The Empire Strikes Back", "Raiders of the Lost Ark")


def algorithms() -> dict[str, Algorithm]:
    """Return the four algorithms, each with the defaults of `nearfar train`."""
    return {
        "Popularity": Popularity(),
        "EASE": EASE(),
        PLAIN: MultVAE(),
        ALIGNED: MultVAE(alignment=PIA()),
    }


@dataclass(frozen=True, eq=False)
class Demo:
    """The results of the demo.

    Args:
        split: the split of the data.
        trials: one per algorithm.
        differences: PIA minus plain, paired by test user, one entry per metric.
        bundle: the bundle of Mult-VAE + PIA.
        folder: folder of the written files.
    """

    split: Split
    trials: list[Trial]
    differences: list[dict[str, Any]]
    bundle: Bundle
    folder: Path

    @property
    def fit_seconds(self) -> float:
        return sum(trial.fit_seconds for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        return {
            "data": self.split.protocol,
            "fingerprint": self.split.fingerprint,
            "n_train_users": self.split.train.n_users,
            "n_items": self.split.train.n_items,
            "n_test_users": self.split.test.n_users,
            "trials": [trial.to_dict() for trial in self.trials],
            "difference": {"challenger": ALIGNED, "baseline": PLAIN, "metrics": self.differences},
            "fit_seconds": self.fit_seconds,
            "machine": {"platform": platform.platform(), "threads": torch.get_num_threads()},
            "bundle": str(self.folder / "bundle-pia"),
        }


def run_demo(
    source: str | Path, folder: Path, *, seed: int, make_run: Callable[[str], Run]
) -> Demo:
    """Split, fit, measure, and write bundles, results.json, training.png and the split.

    Args:
        source: MovieLens-100K in any form that `read_log` takes.
        folder: folder to write to; created if missing.
        seed: random seed of the split and of the fits.
        make_run: returns the run of an algorithm, given its name.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    log = read_log(source, filters=FILTERS)
    split = split_strong(log, HELD_OUT_SHARE, seed=98765 + seed)
    trials = run_trials(algorithms(), split, make_run)
    bundles = {}
    for trial, name in zip(trials[2:], ("bundle-plain", "bundle-pia"), strict=True):
        metrics = {"validation": trial.validation.to_dict(), "test": trial.test.to_dict()}
        bundles[name] = Bundle.of(
            trial.model, trial.algorithm, split.train,
            seed=seed, protocol=split.protocol, metrics=metrics,
        )  # fmt: skip
        save_bundle(bundles[name], folder / name)
    save_split(split, folder / "split")
    runs = {trial.name: trial.records for trial in trials if trial.records}
    plot_training(runs, folder / "training.png")
    demo = Demo(split, trials, paired(trials, PLAIN, ALIGNED), bundles["bundle-pia"], folder)
    write_json(folder / "results.json", demo.to_dict())
    return demo


def taste(titles: Sequence[str] | None) -> list[str]:
    """Return the given titles, or the demo's own three."""
    return list(titles or TASTE)


@dataclass(frozen=True, eq=False)
class Trial:
    """An algorithm fitted on a split's training users and measured on its test users.

    `fit_seconds` is the wall-clock time of `fit`, including validation.
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
) -> Trial:
    """Fit on the training users, stop early by the validation users, measure on the test users."""
    started = time.perf_counter()
    model = algorithm.fit(split.train, split.validation, run=run)
    fit_seconds = time.perf_counter() - started
    return Trial(
        name,
        algorithm.as_fitted(model).resolved(split.train),
        model,
        evaluate(model, split.validation),
        evaluate(model, split.test),
        fit_seconds,
        tuple(run.history.records),
    )


def run_trials(
    algorithms: Mapping[str, Algorithm],
    split: Split,
    make_run: Callable[[str], Run],
) -> list[Trial]:
    """Return a trial per algorithm, in order; `make_run` returns the run of each, by name."""
    return [
        run_trial(name, algorithm, split, make_run(name)) for name, algorithm in algorithms.items()
    ]


def paired(trials: Sequence[Trial], baseline: str, challenger: str) -> list[dict[str, Any]]:
    """Compare challenger minus baseline on the same test users; one entry per metric."""
    by_name = {t.name: t.test for t in trials}
    a, b = by_name[baseline], by_name[challenger]
    return [compare(a, b, metric).to_dict() for metric in a.per_user]
