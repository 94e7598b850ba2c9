"""`nearfar cross-validate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import typer

from nearfar.algorithms.algorithm import Algorithm, make_algorithm, names
from nearfar.cli.inputs import open_log
from nearfar.cli.log_options import LogOptions
from nearfar.cli.measure import Metrics, gains_table, metrics_table, parse_user_metrics
from nearfar.cli.options import DeviceOption, Level, Seed, with_options
from nearfar.cli.output import Output
from nearfar.cli.progress import TrainingProgress
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Interactions
from nearfar.data.splits.k_fold import split_k_fold
from nearfar.evaluation.paired import compare_all
from nearfar.experiments.cross_validation import CrossValidation
from nearfar.experiments.cross_validation import cross_validate as validate
from nearfar.metrics.metric import UserMetric
from nearfar.train.run import Run


@with_options()
def cross_validate(
    algorithms: Annotated[
        list[str],
        typer.Argument(
            help=f"One or several; the first is the baseline. {', '.join(names())}; or a dotted "
            "path."
        ),
    ],
    data: Annotated[str, typer.Option("--data", help="A log, or a data set.")],
    folds: Annotated[int, typer.Option("--folds", help="Number of folds.", min=2)] = 5,
    metrics: Metrics = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting: key=value; of several algorithms ALGORITHM.key=value, as "
            "ease.l2=200.",
        ),
    ] = None,
    log_options: LogOptions = LogOptions(),
    level: Level = 0.95,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Measure algorithms on K folds of a log's users: every user is a test user once.

    Each algorithm is fitted K times, on the same folds, and compared with the first one user by
    user. Nothing is saved. Settings that are not given are the defaults. Early stopping uses users
    who are not tested.

    nearfar cross-validate ease multvae --data events.csv --folds 5 --metrics ndcg@100
    nearfar cross-validate ease --data events.csv --set l2=200
    """
    if len(set(algorithms)) < len(algorithms):
        raise typer.BadParameter("an algorithm is named twice", param_hint="ALGORITHMS")
    by_name = _make_algorithms(algorithms, assignments or [])
    user_metrics = parse_user_metrics(metrics)
    interactions = open_log(data, log_options, output).interactions()
    validations = {
        name: _validate(name, algorithm, interactions, folds, user_metrics, seed, device, output)
        for name, algorithm in by_name.items()
    }
    pooled = {name: replace(each.pooled, name=name) for name, each in validations.items()}
    baseline = algorithms[0]
    pairs = compare_all(pooled, baseline, user_metrics, level=level, seed=seed)
    tables = [
        metrics_table(validation.table(level), f"{name}, {folds} folds")
        for name, validation in validations.items()
    ]
    if pairs:
        tables.append(gains_table(pairs, f"\ngain over {baseline}, user by user"))
    output.result(
        {
            "folds": folds, "baseline": baseline, "level": level,
            "settings": {name: settings.to_plain(each) for name, each in by_name.items()},
            "evaluations": {n: e.to_dict(level=level) for n, e in pooled.items()},
            "by_fold": {
                name: [fold.to_dict(level=level) for fold in validation.evaluations]
                for name, validation in validations.items()
            },
            "paired": [pair.to_dict() for pair in pairs],
        },
        *tables,
    )  # fmt: skip


def _validate(
    name: str,
    algorithm: Algorithm,
    interactions: Interactions,
    folds: int,
    metrics: Sequence[UserMetric],
    seed: int,
    device: Any,
    output: Output,
) -> CrossValidation:
    splits = split_k_fold(interactions, folds, seed=seed)
    with TrainingProgress(output, name) as progress:
        run = Run(seed=seed, device=device, callbacks=(progress,))
        return validate(algorithm, splits, metrics, run=run)


def _make_algorithms(algorithms: Sequence[str], assignments: Sequence[str]) -> dict[str, Algorithm]:
    """Return the algorithms by name, with their settings.

    Raises:
        SettingsError: a setting is unknown, or belongs to none of these algorithms.
    """
    values: dict[str, list[str]] = {name: [] for name in algorithms}
    for assignment in assignments:
        if len(algorithms) == 1:
            values[algorithms[0]].append(assignment)
            continue
        name = next((n for n in algorithms if assignment.startswith(f"{n}.")), None)
        if name is None:
            raise SettingsError(
                f"--set {assignment} does not say which algorithm it is for; write for example "
                f"{algorithms[0]}.{assignment}"
            )
        values[name].append(assignment.removeprefix(f"{name}."))
    return {name: make_algorithm(name, parse_assignments(texts)) for name, texts in values.items()}
