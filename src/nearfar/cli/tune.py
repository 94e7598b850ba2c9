"""`nearfar tune`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nearfar.algorithms.algorithm import preset
from nearfar.cli.exit_codes import CODES, REASONS, same_command
from nearfar.cli.options import DeviceOption, Seed, Track, with_options
from nearfar.cli.output import Output
from nearfar.cli.progress import TrainingProgress
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.data.splits.folder import load_split
from nearfar.experiments.tuning.space import Space
from nearfar.experiments.tuning.trials import METRIC, Tuned
from nearfar.experiments.tuning.tune import TuningSearch
from nearfar.experiments.tuning.tune import tune as run_search
from nearfar.train.run import Precision
from nearfar.train.tracking import check_targets, reporting_to


@with_options()
def tune(
    ctx: typer.Context,
    algorithm: Annotated[
        str, typer.Argument(help="Name of the algorithm, such as ease or multvae.")
    ],
    data: Annotated[
        Path, typer.Option("--data", help="A split folder; its test users are not read.")
    ],
    trials: Annotated[
        int, typer.Option(help="Number of trials in all, including those of earlier calls.", min=1)
    ] = 50,
    space: Annotated[
        Path | None,
        typer.Option(
            "--space", help="TOML file with the search space; by default the algorithm's own."
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only",
            help="Search only these settings of the space, such as alignment.weight,beta.end.",
        ),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(metavar="MINUTES", help="Stop after this many minutes, with exit code 3."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="The output folder. [tuning/ALGORITHM]")
    ] = None,
    preset_name: Annotated[
        str | None, typer.Option("--preset", help="Start from the settings of this preset.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with settings that are not searched.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting that is not searched, such as alignment=pia; may be given several "
            "times.",
        ),
    ] = None,
    warm_up: Annotated[
        int, typer.Option(help="Number of first epochs in which no trial is pruned.", min=0)
    ] = 10,
    precision: Annotated[
        Precision, typer.Option(help="Precision of the output layer's products; see nearfar train.")
    ] = "float32",
    track: Track = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Search settings for the highest validation NDCG@100; needs the extra "tune".

    The first trial has the settings as given; Optuna proposes the others and prunes those that
    stay below the median. Settings of an alignment are searched if it is on: --set alignment=pia.
    Writes OUT/trials.json, and OUT/best.toml for --config or a preset. Ctrl-C keeps everything;
    the same command continues and reaches the same results. Exit code 3: the budget was used up
    before all trials were done.
    """
    check_targets(track or ())
    values = settings.merge(
        preset(algorithm, preset_name) if preset_name else {},
        settings.read_toml(config) if config else {},
        parse_assignments(assignments or []),
    )
    search = TuningSearch(
        algorithm=algorithm,
        folder=out or Path("tuning") / algorithm,
        values=values,
        space=Space.read(space) if space else None,
        only=tuple(key.strip() for key in only.split(",")) if only else (),
        seed=seed,
        warm_up=warm_up,
        device=device,
        precision=precision,
    )
    split = load_split(data)
    result = run_search(
        search, split.train, split.validation, trials, minutes=budget, say=output.remark,
        reporting=reporting_to(
            lambda title: TrainingProgress(output, title), track or (), search.folder.name
        ),
    )  # fmt: skip
    _print_result(result, search, data, output)
    if result.stop is not None:
        output.warning(f"{REASONS[result.stop]}; continue with: {same_command(ctx)}")
        raise typer.Exit(CODES[result.stop])
    if result.best is None:
        output.warning("no trial was completed; the reasons are in the table")
        raise typer.Exit(1)


def _print_result(result: Tuned, search: TuningSearch, data: Path, output: Output) -> None:
    pruned = sum(t.state == "pruned" for t in result.trials)
    reasons = dict.fromkeys(t.reason for t in result.trials if t.reason)
    shown = [
        str(result),
        *(f"failed: {reason}" for reason in reasons),
        f"{len(result.trials)} trials, {pruned} pruned; {search.folder}/trials.json",
    ]
    best = search.folder / "best.toml"
    if result.best is not None:
        shown += [
            "", best.read_text().rstrip(),
            f"\nnearfar train {search.algorithm} --data {data} --config {best} --out BUNDLE",
        ]  # fmt: skip
    output.result(
        {
            "algorithm": search.algorithm,
            "metric": str(METRIC),
            "best": asdict(result.best) if result.best else None,
            "settings": result.settings,
            "stopped": result.stop,
            "trials": [asdict(trial) for trial in result.trials],
            "folder": str(search.folder),
        },
        *shown,
    )
