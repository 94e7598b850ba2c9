"""The end of a search: the winner measured on test users once, fitted on all users, and saved."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.bundle.bundle import Bundle, describe
from nearfar.bundle.folder import save_bundle
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import DEFAULT_METRICS, evaluate
from nearfar.experiments.autopilot.blending import last_settings
from nearfar.experiments.autopilot.fitting import Fitter
from nearfar.experiments.autopilot.leaderboard import Leaderboard
from nearfar.models.model import Model
from nearfar.train.history import History


@dataclass(frozen=True)
class Outcome:
    """What the winner came to.

    Args:
        test: its metrics on the test users, JSON-able; None where none were held out.
        fit_seconds: of the fit on all users.
    """

    test: dict[str, Any] | None
    fit_seconds: float


def finish(fitter: Fitter, board: Leaderboard, out: Path, validation: FoldIn) -> Outcome:
    """Measure the winner on the test users, fit it on all users and save the bundle.

    A winner is measured on the test users once: the result is kept, and used again where the last
    fit is killed and taken up. A search that goes on with more minutes to another winner measures
    that one too; `n_tested` counts them.

    Args:
        fitter: its data, records and runs.
        board: who won.
        out: the bundle's folder.
        validation: the users that chose.
    """
    records, held_out, winner = fitter.records, fitter.held_out, board.winner
    label = winner.family.label
    tests = dict(records.outcome.get("tests", {}))
    key = str(winner.trial.number)
    if held_out.test is not None and key not in tests:
        fitter.say(f"{label}: measured on {held_out.test.n_users:,} test users, once")
        model = fitter.fitted(winner.trial)
        if model is None:
            algorithm = make_algorithm(winner.family.algorithm, winner.trial.settings)
            model, _ = _fit(fitter, algorithm, held_out.train, validation, f"test-{key}", label)
        tests[key] = evaluate(model, held_out.test, DEFAULT_METRICS, name=label).to_dict()
        records.outcome = {"tests": tests}
        fitter.clock.note()
        del model
    test = tests.get(key)
    fitter.say(f"{label}: fitted on all {held_out.everyone.n_users:,} users")
    settings = last_settings(winner.trial, records)
    algorithm = make_algorithm(winner.family.algorithm, settings)
    began = time.perf_counter()
    model, history = _fit(fitter, algorithm, held_out.everyone, None, f"final-{key}", label)
    seconds = max(time.perf_counter() - began, history.seconds)
    metrics = {"validation": winner.measured.to_dict()}
    if test is not None:
        metrics["test"] = test
    about = describe(
        algorithm, held_out.everyone, seed=fitter.seed, metrics=metrics, history=history,
        protocol={**held_out.protocol, "autopilot": {
            "family": winner.family.name, "goal": board.goal, "trial": winner.trial.number,
            "trials": len(records.trials), "verdict": board.verdict(),
        }},
    )  # fmt: skip
    save_bundle(Bundle(model, held_out.everyone.item_ids, about), out)
    records.outcome = {
        "tests": tests, "test": test, "n_tested": len(tests), "goal": board.goal,
        "minutes": fitter.clock.minutes, "fit_seconds": seconds,
    }  # fmt: skip
    fitter.clock.note()
    fitter.models.drop_all_but(())
    for folder in (*records.folder.glob("test-*"), *records.folder.glob("final-*")):
        shutil.rmtree(folder, ignore_errors=True)
    return Outcome(test, seconds)


def _fit(
    fitter: Fitter,
    algorithm: Algorithm,
    train: Interactions,
    validation: FoldIn | None,
    name: str,
    label: str,
) -> tuple[Model, History]:
    run = fitter.run_options(name)
    with fitter.reporting(label) as callbacks:
        run.callbacks = callbacks
        model = algorithm.fit(train, validation, run=run)
    return model, run.history
