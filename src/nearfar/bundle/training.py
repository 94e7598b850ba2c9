"""Trains a bundle: fits the model, evaluates it on validation users and saves it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.algorithms.algorithm import Algorithm
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.evaluation.evaluation import Evaluation
from nearfar.train.callback import report_measured
from nearfar.train.checkpoint import NAME as CHECKPOINT
from nearfar.train.run import Run


@dataclass(frozen=True, eq=False)
class TrainedBundle:
    """The result of a training.

    Args:
        bundle: the saved bundle.
        algorithm: the algorithm with the settings of the fit.
        evaluation: the evaluation on the validation users; None if there are none.
        fit_seconds: wall-clock time of `fit`, including validation.
    """

    bundle: Bundle
    algorithm: Algorithm
    evaluation: Evaluation | None
    fit_seconds: float


def run_folder(out: Path) -> Path:
    """Return the folder of a training's checkpoint and metrics.jsonl: OUT.run."""
    return out.with_name(out.name + ".run")


def has_checkpoint(out: Path, *, resume: bool) -> bool:
    """Return whether the training of a bundle was interrupted and left a checkpoint.

    Raises:
        SettingsError: there is a checkpoint and `resume` is False: a new training would
            overwrite it.
    """
    folder = run_folder(out)
    exists = any(folder.rglob(CHECKPOINT))
    if exists and not resume:
        raise SettingsError(
            f"{folder} holds the checkpoint of an unfinished run: go on with --resume, or delete it"
        )
    return exists


def train_bundle(
    algorithm: Algorithm,
    train: Interactions,
    validation: FoldIn | None,
    out: Path,
    *,
    run: Run,
    protocol: Mapping[str, Any],
) -> TrainedBundle:
    """Fit an algorithm and save its model.

    The run's folder is deleted unless the run was interrupted.

    Args:
        algorithm: the algorithm to fit; settings without a value are computed from `train`.
        train: the training users.
        validation: held-out users, for early stopping and for the bundle's metrics.
        out: the bundle's folder.
        run: seed, device, and the folder for checkpoints.
        protocol: how the data were made, JSON-able; saved in the bundle.
    """
    started = time.perf_counter()
    model = algorithm.fit(train, validation, run=run)
    seconds = time.perf_counter() - started
    fitted = algorithm.as_fitted(model).resolved(train)
    evaluation = None if validation is None else evaluate(model, validation)
    metrics = {} if evaluation is None else {"validation": evaluation.to_dict()}
    if evaluation is not None:
        report_measured(run.callbacks, {m: evaluation.mean(m) for m in evaluation.metrics})
    bundle = Bundle.of(
        model, fitted, train,
        seed=run.seed, protocol=protocol, metrics=metrics, history=run.history,
    )  # fmt: skip
    save_bundle(bundle, out)
    if run.folder is not None and not run.history.interrupted:
        shutil.rmtree(run.folder, ignore_errors=True)
    return TrainedBundle(bundle, fitted, evaluation, seconds)
