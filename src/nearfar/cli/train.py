"""`nearfar train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.algorithms.algorithm import (
    Algorithm,
    make_algorithm,
    names,
    preset,
    presets,
)
from nearfar.algorithms.filled_in import filled_in
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
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.splits.folder import is_split_folder, load_split
from nearfar.data.splits.hold_out import hold_out_users, single_item_remark
from nearfar.evaluation.evaluate import evaluate
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import compare
from nearfar.evaluation.text import p_value, remark_on_depths
from nearfar.metrics.ndcg import NDCG
from nearfar.models.constant import Constant
from nearfar.models.model import Model
from nearfar.train.history import History
from nearfar.train.run import Precision, Run
from nearfar.train.tracking import check_targets, trackers

LEVEL = 0.05
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
    preset_name: Annotated[
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
    earlier_bundle = None if earlier is None else load_bundle(earlier)
    values = settings.merge(
        {} if earlier_bundle is None else earlier_settings(earlier_bundle, algorithm),
        preset(algorithm, preset_name) if preset_name else {},
        settings.read_toml(config) if config else {},
        parse_assignments(assignments or []),
    )
    fitter = make_algorithm(algorithm, values)
    check_destination(out)
    check_targets(track or ())
    interactions, validation, protocol = _open_training(
        data, log_options, validation_share, seed, output
    )
    output.remark(
        f"{interactions.n_users:,} training users, {interactions.n_items:,} items, "
        f"{interactions.n_interactions:,} interactions"
        + (f"; {validation.n_users:,} validation users" if validation else "")
    )
    from_data = filled_in(fitter, fitter.resolved(interactions))
    if from_data:
        computed = ", ".join(f"{name}={_short(value)}" for name, value in from_data.items())
        output.remark(f"computed from the data: {computed} (--set gives other values)")
    if earlier_bundle is not None:
        fitter = _initialise(
            fitter, earlier_bundle, str(earlier), interactions, validation, out, output
        )
    if not has_checkpoint(out, resume=resume) and resume:
        output.warning(f"there is no checkpoint in {run_folder(out)}; starting from the beginning")
    with (
        TrainingProgress(output, algorithm) as progress,
        trackers(track or (), out.name) as callbacks,
    ):
        run = Run(
            seed=seed, device=device, precision=precision, folder=run_folder(out), resume=resume,
            checkpoint_seconds=checkpoint_seconds, callbacks=(progress, *callbacks),
            keep_on_interrupt=True,
        )  # fmt: skip
        trained = train_bundle(fitter, interactions, validation, out, run=run, protocol=protocol)
    history = run.history
    rows = []
    if trained.evaluation is not None:
        rows = [[str(m), f"{trained.evaluation.mean(m):.4f}"] for m in trained.evaluation.per_user]
    _report_outcome(trained, history, validation, out, output)
    output.result(
        {
            "bundle": str(out), "algorithm": algorithm,
            "settings": settings.to_plain(trained.algorithm),
            "from_data": from_data, "n_users": interactions.n_users,
            "n_items": interactions.n_items,
            "fit_seconds": trained.fit_seconds, "metrics": trained.bundle.metadata.metrics,
            "n_epochs": len(history.records),
            "best_epoch": history.best_epoch, "stopped_early": history.stopped_early,
            "attempts": [attempt.to_dict() for attempt in history.attempts],
            "interrupted": history.interrupted, "read": protocol.get("read"),
        },
        table(None, ["validation", "mean"], rows) if rows else "no validation users",
        f"fitted in {trained.fit_seconds:.1f} s; saved {out}",
    )  # fmt: skip
    if history.interrupted:
        raise typer.Exit(INTERRUPTED)


def earlier_settings(bundle: Bundle, algorithm: str) -> dict[str, Any]:
    """Return the settings of a bundle whose weights initialise a training.

    Raises:
        SettingsError: the bundle is of another algorithm.
    """
    earlier = bundle.metadata.algorithm
    if earlier != algorithm:
        raise SettingsError(
            f"--from names a bundle of {earlier}; {algorithm} cannot go on from it: "
            f"use nearfar train {earlier}"
        )
    return settings_of(bundle)


def _initialise(
    algorithm: Algorithm,
    earlier: Bundle,
    name: str,
    train: Interactions,
    validation: FoldIn | None,
    out: Path,
    output: Output,
) -> Algorithm:
    """Return an algorithm initialised from a bundle's weights, and print what the bundle knows."""
    path = run_folder(out).absolute() / WARM
    path.parent.mkdir(parents=True, exist_ok=True)
    warm, n_known = warm_started(algorithm, earlier, train.item_ids, path)
    output.remark(f"going on from {name}, which knows {n_known:,} of {train.n_items:,} items")
    if validation is not None and not earlier.trained_on(train):
        output.warning(
            f"{name} may have been trained on some of these validation users: metrics on them, "
            "and the best epoch chosen by them, may be too optimistic"
        )
    return warm


def _report_outcome(
    trained: TrainedBundle, history: History, validation: FoldIn | None, out: Path, output: Output
) -> None:
    """Print what explains the result: too large cutoffs, popularity, attempts, an interruption."""
    if trained.evaluation is not None and validation is not None:
        remark = remark_on_depths(trained.evaluation.per_user, validation)
        if remark:
            output.remark(remark)
        if warning := _below_popularity(trained.bundle.model, trained.evaluation, validation):
            output.warning(warning)
    for attempt in history.attempts:
        outcome = attempt.error if attempt.score is None else f"{attempt.score:.4f}"
        output.remark(f"tried {attempt.label}: {outcome} ({attempt.epochs} epochs)")
    if history.interrupted:
        output.warning(
            f"stopped by hand: {out} holds the best model so far; the same command with --resume "
            "continues"
        )


def _below_popularity(model: Model, evaluation: Evaluation, validation: FoldIn) -> str:
    """Return a warning if popularity, which costs nothing, ranks better on validation users."""
    popularity = evaluate(Constant(model.popularity, model.n_train_users), validation, [NDCG(100)])
    pair = compare(popularity, evaluation, NDCG(100))
    if pair.difference >= 0:
        return ""
    doubt = "" if pair.p is not None and pair.p < LEVEL else ", which may be chance"
    return (
        f"popularity alone has NDCG@100 {popularity.mean(NDCG(100)):.4f} on these validation "
        f"users, the model {-pair.difference:.4f} less (p {p_value(pair.p)}){doubt}; compare with "
        "nearfar train popularity, or let nearfar autopilot choose"
    )


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _open_training(
    source: str, log_options: LogOptions, share: float, seed: int, output: Output
) -> tuple[Interactions, FoldIn | None, dict[str, object]]:
    """Return the training users, the validation users (None at share 0), and the protocol.

    A split folder has its own validation users; of a log, a share of the users is held out.
    """
    protocol: dict[str, object]
    if is_split_folder(Path(source)):
        split = load_split(Path(source))
        protocol = {"split": split.fingerprint, **split.protocol}
        split = inputs.split_with_options(split, source, log_options, output)
        inputs.report_weights(split.train, output)
        return split.train, split.validation, protocol
    log = inputs.open_log(source, log_options, output)
    interactions = log.interactions()
    inputs.report_weights(interactions, output)
    protocol = {"log": log.name, "steps": [str(step) for step in log.steps]}
    if log.read is not None:
        protocol["read"] = log.read.to_dict()
    if share == 0:
        return interactions, None, protocol
    if remark := single_item_remark(interactions):
        output.remark(remark)
    train, validation = hold_out_users(interactions, share, seed=seed)
    return train, validation, {**protocol, "validation_share": share, "validation_seed": seed}
