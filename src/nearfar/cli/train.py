"""`nearfar train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.algorithms.algorithm import (
    Algorithm,
    filled_in,
    make_algorithm,
    names,
    preset,
    presets,
)
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import check_destination, load_bundle
from nearfar.bundle.other_catalogue import settings_of, warm_started
from nearfar.bundle.training import TrainedBundle, has_checkpoint, run_folder, train_bundle
from nearfar.cli import inputs
from nearfar.cli.exit_codes import INTERRUPTED
from nearfar.cli.log_options import LogOptions
from nearfar.cli.options import DeviceOption, Seed, Track, with_options
from nearfar.cli.output import Output, table
from nearfar.cli.progress import TrainingProgress
from nearfar.core import settings
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.splits.folder import is_split_folder, load_split
from nearfar.data.splits.hold_out import hold_out_users, single_item_remark
from nearfar.evaluation.text import remark_on_depths
from nearfar.train.history import History
from nearfar.train.run import Precision, Run
from nearfar.train.tracking import check_targets, trackers

WARM = "warm.safetensors"
PRESETS = "; ".join(f"{name}: {', '.join(kept)}" for name in names() if (kept := presets(name)))


@with_options()
def train(
    algorithm: Annotated[str, typer.Argument(help=f"{', '.join(names())}; or a dotted path.")],
    data: Annotated[str, typer.Option("--data", help="A split folder, a log, or a data set.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle's folder.")],
    config: Annotated[
        Path | None, typer.Option("--config", help="TOML file with settings of the algorithm.")
    ] = None,
    named: Annotated[
        str | None,
        typer.Option("--preset", help=f"Settings kept under a name. {PRESETS}."),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting as key=value, nested as alignment.weight=2; may be given several "
            "times.",
        ),
    ] = None,
    earlier: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Initialise from the weights of this bundle; settings that are not given are "
            "the bundle's.",
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue from the checkpoint in OUT.run.")
    ] = False,
    validation_share: Annotated[
        float,
        typer.Option(
            help="For a log: share of the users with at least two items that is held out to "
            "choose the best epoch; 0 for none."
        ),
    ] = 0.1,
    log_options: LogOptions = LogOptions(),
    checkpoint_seconds: Annotated[
        float, typer.Option(help="Maximum seconds between checkpoints.", min=0)
    ] = 60.0,
    precision: Annotated[
        Precision,
        typer.Option(
            help="Precision of the output layer's products; bfloat16 is faster on processors "
            "that support it."
        ),
    ] = "float32",
    track: Track = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Fit an algorithm and save a bundle.

    Personalized Item Alignment is a setting: nearfar train multvae --set alignment=pia
    --set alignment.weight=1 --data SPLIT --out BUNDLE. nearfar algorithms NAME lists the settings.
    During training OUT.run contains the checkpoint and metrics.jsonl. Ctrl-C saves the best model
    so far (exit code 130); --resume continues, in the same run of a tracker.

    With --from, items are matched by id and new ones are added (guide: incremental training):

    nearfar train multvae --data NEW_LOG --from LAST_BUNDLE --out BUNDLE --set epochs=10
    """
    before = None if earlier is None else load_bundle(earlier)
    values = settings.merge(
        {} if before is None else earlier_settings(before, algorithm),
        preset(algorithm, named) if named else {},
        settings.read_toml(config) if config else {},
        settings.parse_assignments(assignments or []),
    )
    made = make_algorithm(algorithm, values)
    check_destination(out)
    check_targets(track or ())
    interactions, validation, about = _open_training(
        data, log_options, validation_share, seed, output
    )
    output.remark(
        f"{interactions.n_users:,} training users, {interactions.n_items:,} items, "
        f"{interactions.n_interactions:,} interactions"
        + (f"; {validation.n_users:,} validation users" if validation else "")
    )
    from_data = filled_in(made, made.resolved(interactions))
    if from_data:
        values_shown = ", ".join(f"{name}={_short(value)}" for name, value in from_data.items())
        output.remark(f"computed from the data: {values_shown} (--set gives other values)")
    if before is not None:
        made = _going_on(made, before, f"{earlier}", interactions, validation, out, output)
    if not has_checkpoint(out, resume=resume) and resume:
        output.warning(f"there is no checkpoint in {run_folder(out)}; starting from the beginning")
    with (
        TrainingProgress(output, algorithm) as progress,
        trackers(track or (), out.name) as tracked,
    ):
        run = Run(
            seed=seed, device=device, precision=precision, folder=run_folder(out), resume=resume,
            checkpoint_seconds=checkpoint_seconds, callbacks=(progress, *tracked),
            keep_on_interrupt=True,
        )  # fmt: skip
        found = train_bundle(made, interactions, validation, out, run=run, protocol=about)
    history = run.history
    rows = []
    if found.evaluation is not None:
        rows = [[str(m), f"{found.evaluation.mean(m):.4f}"] for m in found.evaluation.per_user]
    _say_outcome(found, history, validation, out, output)
    output.result(
        {
            "bundle": str(out), "algorithm": algorithm,
            "settings": settings.to_plain(found.algorithm),
            "from_data": from_data, "n_users": interactions.n_users,
            "n_items": interactions.n_items,
            "fit_seconds": found.fit_seconds, "metrics": found.bundle.about.metrics,
            "n_epochs": len(history.records),
            "best_epoch": history.best_epoch, "stopped_early": history.stopped_early,
            "attempts": [attempt.to_dict() for attempt in history.attempts],
            "interrupted": history.interrupted, "read": about.get("read"),
        },
        table(None, ["validation", "mean"], rows) if rows else "no validation users",
        f"fitted in {found.fit_seconds:.1f} s; saved {out}",
    )  # fmt: skip
    if history.interrupted:
        raise typer.Exit(INTERRUPTED)


def earlier_settings(bundle: Bundle, algorithm: str) -> dict[str, Any]:
    """Return the settings of a bundle that training goes on from.

    Raises:
        SettingsError: another algorithm trained it.
    """
    before = bundle.about.algorithm
    if before != algorithm:
        raise SettingsError(
            f"--from names a bundle of {before}; {algorithm} cannot go on from it: "
            f"use nearfar train {before}"
        )
    return settings_of(bundle)


def _going_on(
    algorithm: Algorithm,
    before: Bundle,
    name: str,
    train: Interactions,
    validation: FoldIn | None,
    out: Path,
    output: Output,
) -> Algorithm:
    """Return the algorithm that starts from an earlier bundle's weights, and say what it knows."""
    path = run_folder(out).absolute() / WARM
    path.parent.mkdir(parents=True, exist_ok=True)
    warm, n_known = warm_started(algorithm, before, train.item_ids, path)
    output.remark(f"going on from {name}, which knows {n_known:,} of {train.n_items:,} items")
    if validation is not None and not before.trained_on(train):
        output.warning(
            f"{name} may have been trained on some of these validation users: what is measured on "
            "them, and the epoch that it chooses, may flatter it"
        )
    return warm


def _say_outcome(
    found: TrainedBundle, history: History, validation: FoldIn | None, out: Path, output: Output
) -> None:
    """Say what a reader of the result must know: full lists, networks tried, an interruption."""
    if found.evaluation is not None and validation is not None:
        full = remark_on_depths(found.evaluation.per_user, validation)
        if full:
            output.remark(full)
    for attempt in history.attempts:
        told = attempt.error if attempt.score is None else f"{attempt.score:.4f}"
        output.remark(f"tried {attempt.label}: {told} ({attempt.epochs} epochs)")
    if history.interrupted:
        output.warning(
            f"stopped by hand: {out} holds the best so far; the same command with --resume goes on"
        )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _open_training(
    source: str, log_options: LogOptions, share: float, seed: int, output: Output
) -> tuple[Interactions, FoldIn | None, dict[str, object]]:
    """Training users, validation users (none at share 0), and what is known of the data.

    A split folder says itself who is who; of a log, a share of the users is held out.
    """
    about: dict[str, object]
    if is_split_folder(Path(source)):
        split = load_split(Path(source))
        about = {"split": split.fingerprint, **split.protocol}
        split = inputs.split_with_options(split, source, log_options, output)
        inputs.report_weights(split.train, output)
        return split.train, split.validation, about
    log = inputs.open_log(source, log_options, output)
    everyone = log.interactions()
    inputs.report_weights(everyone, output)
    about = {"log": log.name, "steps": [str(step) for step in log.steps]}
    if log.read is not None:
        about["read"] = log.read.to_dict()
    if share == 0:
        return everyone, None, about
    if left_alone := single_item_remark(everyone):
        output.remark(left_alone)
    train, validation = hold_out_users(everyone, share, seed=seed)
    return train, validation, {**about, "validation_share": share, "validation_seed": seed}
