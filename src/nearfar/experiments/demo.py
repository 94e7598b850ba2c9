"""The demo: real MovieLens-100K, four algorithms, one comparison, ten films."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.bundle import Bundle, describe
from nearfar.bundle.folder import save_bundle
from nearfar.core.files import write_json
from nearfar.data.filters import Filters
from nearfar.data.interactions import Split
from nearfar.data.log import read_log
from nearfar.data.splits.folder import save_split
from nearfar.data.splits.strong import split_strong
from nearfar.experiments.trial import Trial, paired, run_trials
from nearfar.report.training_curves import plot_training
from nearfar.train.run import Run

PLAIN, ALIGNED = "Mult-VAE", "Mult-VAE + PIA"
HELD_OUT_SHARE = 0.15
FILTERS = Filters(min_rating=4, min_user=5)
TASTE = ("Star Wars", "The Empire Strikes Back", "Raiders of the Lost Ark")


def algorithms() -> dict[str, Algorithm]:
    """Return the four, each with the defaults that `nearfar train` has."""
    return {
        "Popularity": Popularity(),
        "EASE": EASE(),
        PLAIN: MultVAE(),
        ALIGNED: MultVAE(alignment=PIA()),
    }


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo found, and where it was written.

    `differences` are PIA minus plain, user by user, one entry a metric.
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
        folder: where to write; made where it is missing.
        seed: of the split and of the fits.
        make_run: the run of each algorithm, by its name.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    log = read_log(source, filters=FILTERS)
    split = split_strong(log, HELD_OUT_SHARE, seed=98765 + seed)
    trials = run_trials(algorithms(), split, make_run)
    bundles = {}
    for trial, name in zip(trials[2:], ("bundle-plain", "bundle-pia"), strict=True):
        metrics = {"validation": trial.validation.to_dict(), "test": trial.test.to_dict()}
        about = describe(
            trial.algorithm, split.train, seed=seed, protocol=split.protocol, metrics=metrics,
            history=None,
        )  # fmt: skip
        bundles[name] = Bundle(trial.model, split.train.item_ids, about)
        save_bundle(bundles[name], folder / name)
    save_split(split, folder / "split")
    runs = {trial.name: trial.records for trial in trials if trial.records}
    plot_training(runs, folder / "training.png")
    demo = Demo(split, trials, paired(trials, PLAIN, ALIGNED), bundles["bundle-pia"], folder)
    write_json(folder / "results.json", demo.to_dict())
    return demo


def taste(titles: Sequence[str] | None) -> list[str]:
    """The titles given, or the demo's own three."""
    return list(titles or TASTE)
