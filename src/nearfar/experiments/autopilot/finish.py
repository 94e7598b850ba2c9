"""The end of a search: measure the winner on test users once, fit it on all users, save it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

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


def finish(fitter: Fitter, board: Leaderboard, out: Path, validation: FoldIn) -> None:
    """Measure the winner on the test users, fit it on all users and save the bundle.

    The result goes to `fitter.records.outcome`. A winner is measured on the test users once: the
    result is stored, and used again if the last fit is killed and resumes. If a search continues
    with more minutes and another trial wins, that one is measured too; `n_tested` counts them.

    Args:
        fitter: data, records and runs of the search.
        board: leaderboard with the winner.
        out: folder of the bundle.
        validation: validation users, in case the winner has to be fitted again for the test.
    """
    records, held_out, winner = fitter.records, fitter.held_out, board.winner
    label = winner.family.label
    tests = dict(records.outcome.get("tests", {}))
    key = str(winner.trial.number)
    if held_out.test is not None and key not in tests:
        fitter.say(f"{label}: measured on {held_out.test.n_users:,} test users, once")
        model = fitter.load_model(winner.trial)
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
    started = time.perf_counter()
    model, history = _fit(fitter, algorithm, held_out.everyone, None, f"final-{key}", label)
    seconds = max(time.perf_counter() - started, history.seconds)
    metrics = {"validation": winner.measured.to_dict()}
    if test is not None:
        metrics["test"] = test
    metadata = describe(
        algorithm, held_out.everyone, seed=fitter.seed, metrics=metrics, history=history,
        protocol={**held_out.protocol, "autopilot": {
            "family": winner.family.name, "goal": board.goal, "trial": winner.trial.number,
            "trials": len(records.trials), "verdict": board.verdict(),
        }},
    )  # fmt: skip
    save_bundle(Bundle(model, held_out.everyone.item_ids, metadata), out)
    records.outcome = {
        "tests": tests, "test": test, "n_tested": len(tests), "goal": board.goal,
        "minutes": fitter.clock.minutes, "fit_seconds": seconds,
    }  # fmt: skip
    fitter.clock.note()
    fitter.models.delete_others(())
    for folder in (*records.folder.glob("test-*"), *records.folder.glob("final-*")):
        shutil.rmtree(folder, ignore_errors=True)


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
