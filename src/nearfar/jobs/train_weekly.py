"""The weekly training: fit a candidate on a window of events and judge it by the gates."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from nearfar._version import __version__
from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.autoencoding import identity
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.other_catalogue import ModelOnCatalogue, warm_started
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.evaluation.groups import parse_groups
from nearfar.jobs.executor import LOCAL, Executor
from nearfar.jobs.gates import (
    METRICS,
    Verdict,
    accept_failures,
    check_accepted,
    judge,
    reliability_remarks,
    state_of,
)
from nearfar.jobs.job import Say, recorded
from nearfar.jobs.pipeline import Pipeline, exports_of
from nearfar.jobs.registry import Registry, Version
from nearfar.jobs.unfinished_trainings import prepare_folder, remove_unfinished, warm_file
from nearfar.jobs.window import (
    TrainingWindow,
    WindowEvents,
    check_day,
    split_window,
    window_events,
    window_of,
)
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.model import Model
from nearfar.train.callback import Callback, report_measured
from nearfar.train.run import Run

GROUPS = parse_groups("1-10,11-50,51-100,101-")
SALT = "nearfar/held-out"
FORMER_SHARE = 0.05
"""The share held out by versions whose records do not contain it."""


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of a weekly training.

    Args:
        version: the registered candidate.
        verdicts: verdicts of the gates.
        warm: whether it started from the champion's weights.
        seconds: duration of the whole job.
        remarks: remarks on how reliable the gates are.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.train_weekly import Trained
        >>> from nearfar.jobs.train_weekly import train_weekly
        >>> train_weekly(pipeline, date(2026, 5, 1)).version.passed  # doctest: +SKIP
    """

    version: Version
    verdicts: list[Verdict]
    warm: bool
    seconds: float
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return all(v.passed for v in self.verdicts)


def train_weekly(
    pipeline: Pipeline,
    as_of: date,
    *,
    say: Say = lambda text: None,
    callbacks: tuple[Callback, ...] = (),
    executor: Executor = LOCAL,
    accept: Collection[str] = (),
    allow_future: bool = False,
) -> Trained:
    """Train a candidate on the window that ends with `as_of`, judge it and register it.

    If a training was killed, the next call for the same day, events and settings resumes from its
    checkpoint; with other events or settings it starts anew.

    Args:
        pipeline: settings of the pipeline.
        as_of: last day of events.
        say: receives a line per step.
        callbacks: receive the events of the fit.
        executor: runs the training.
        accept: names of gates and checks of the contract that may fail this once, as "volume".
        allow_future: allow a day after today.

    Raises:
        LockedError: another job is running.
        DataError: the events break the contract, or are too few.
        SettingsError: the day is after today.
        UnknownNameError: a name in `accept` is not a check.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.train_weekly import train_weekly
        >>> trained = train_weekly(pipeline, date(2026, 5, 1))  # doctest: +SKIP
    """
    check_day(as_of, allow_future=allow_future)
    check_accepted(accept)
    registry = Registry(pipeline.registry)
    started = time.perf_counter()
    with recorded(registry, "train", as_of=str(as_of)):
        result = _train(pipeline, registry, as_of, say, callbacks, executor, accept)
        seconds = time.perf_counter() - started
        registry.note(
            "train", "passed" if result.passed else "refused", version=result.version.name,
            as_of=str(as_of), seconds=seconds, warm=result.warm,
            gates=[v.to_dict() for v in result.verdicts], metrics=result.version.record["metrics"],
            rejected=result.version.record["data"]["rejected"],
            left_out=result.version.record["data"]["contract"]["left_out"],
            events=result.version.record["data"]["events"], remarks=list(result.remarks),
            **({"accept": sorted(accept)} if accept else {}),
        )  # fmt: skip
        return replace(result, seconds=seconds)


def _train(
    pipeline: Pipeline,
    registry: Registry,
    as_of: date,
    say: Say,
    callbacks: tuple[Callback, ...],
    executor: Executor,
    accept: Collection[str],
) -> Trained:
    section = pipeline.train
    details = None if pipeline.items is None else pipeline.items.read_and_tell(say)
    exports = exports_of(section.exports)
    events = window_events(pipeline, as_of, "train", say, accept)
    champion = _current_version(registry, say)
    data = split_window(
        events.frame, section.filters, as_of=as_of, share=_held_out_share(pipeline, champion),
        holdout_days=section.holdout_days, salt=SALT, scale=pipeline.scale,
        repeats=section.weighting.repeats_rule,
    )  # fmt: skip
    n_judges = 0 if data.test is None else data.test.fold_in.n_users
    say(
        f"{data.train.n_users:,} training users, {data.train.n_items:,} items, "
        f"{data.train.n_interactions:,} interactions; {data.share:.0%} of the users are held out, "
        f"{n_judges:,} of them for the gates"
    )
    folder = registry.unfinished_folder(as_of)
    algorithm, warm = _warm_algorithm(pipeline, champion, data.train, folder, say)
    warm_from = champion.name if champion and warm else None
    training_identity = {
        **identity(algorithm, data.train, data.validation), "seed": section.seed,
        "precision": section.precision, "warm_from": warm_from,
        "by": type(executor).__name__, "nearfar": __version__,
    }  # fmt: skip
    prepare_folder(folder, training_identity, say)
    run = Run(
        seed=section.seed, device=section.device, precision=section.precision, folder=folder,
        resume=True, checkpoint_seconds=section.checkpoint_seconds, callbacks=callbacks,
    )  # fmt: skip
    model = executor.fit(algorithm, data.train, data.validation, run)
    say("judging the candidate")
    verdicts, measured, collapsed, remarks = _judge_candidate(
        pipeline, model, run, data, champion, registry
    )
    report_measured(callbacks, measured.get("candidate", {}))
    verdicts = accept_failures(verdicts, accept)
    record = {
        "as_of": str(as_of),
        "passed": all(v.passed for v in verdicts),
        "gates": [v.to_dict() for v in verdicts],
        "remarks": list(remarks),
        "held_out": data.share,
        "metrics": measured,
        "collapsed": collapsed,
        "data": _describe_data(data, events, window_of(as_of, section.window_days)[0]),
        "lineage": {
            "champion": champion.name if champion else None,
            "warm_from": warm_from,
            "epochs": len(run.history.records), "best_epoch": run.history.best_epoch,
            "seed": section.seed,
        },
    }  # fmt: skip
    bundle = Bundle.of(
        model, pipeline.algorithm, data.train, seed=section.seed,
        protocol={"kind": "weekly", "as_of": str(as_of), "window_days": section.window_days},
        metrics={"gates": measured}, history=run.history,
    )  # fmt: skip
    if pipeline.items is not None and details is not None:
        items, text = pipeline.items.apply_to(bundle.items, details)
        say(text)
        bundle = replace(bundle, items=items)
    version = registry.register(bundle, registry.new_name(str(as_of)), record, exports)
    remove_unfinished(folder.parent, str(as_of))
    return Trained(version, verdicts, warm, 0.0, remarks)


def _describe_data(data: TrainingWindow, events: WindowEvents, since: date) -> dict[str, Any]:
    """Return the facts on the training data that a version's record keeps."""
    train = data.train
    return {
        "since": str(since), "events": data.n_events, "rejected": events.n_rejected,
        "users": train.n_users, "items": train.n_items, "interactions": train.n_interactions,
        "mean_interactions": train.n_interactions / train.n_users,
        "fingerprint": train.fingerprint, "contract": events.report,
    }  # fmt: skip


def _current_version(registry: Registry, say: Say) -> Version | None:
    name = registry.current()
    if name is None:
        say("no version is published yet; the gates compare with popularity alone")
        return None
    return registry.version(name)


def _held_out_share(pipeline: Pipeline, champion: Version | None) -> float | None:
    """Return the share to hold out: the setting, else the share that the champion held out."""
    if pipeline.train.held_out is not None or champion is None:
        return pipeline.train.held_out
    return float(champion.record.get("held_out", FORMER_SHARE))


def _warm_algorithm(
    pipeline: Pipeline, champion: Version | None, train: Interactions, folder: Path, say: Say
) -> tuple[Algorithm, bool]:
    """Return the algorithm, and whether it starts from the champion's weights."""
    algorithm = pipeline.algorithm
    if not (pipeline.train.warm_start and champion):
        return algorithm, False
    before = Registry(pipeline.registry).bundle(champion.name)
    path = warm_file(folder, champion.name)
    try:
        warmed, n_known = warm_started(algorithm, before, train.item_ids, path)
    except SettingsError as error:
        say(f"{champion.name}: {error}")
        return algorithm, False
    say(f"going on from {champion.name}: {n_known:,} of {train.n_items:,} items are known to it")
    return warmed, True


def _judge_candidate(
    pipeline: Pipeline,
    model: Model,
    run: Run,
    data: TrainingWindow,
    champion: Version | None,
    registry: Registry,
) -> tuple[list[Verdict], dict[str, Any], float | None, tuple[str, ...]]:
    """Return verdicts, metrics of each model, the share of collapsed dimensions, and remarks."""
    candidate_metrics = popular_metrics = champion_metrics = before = None
    if data.test is not None:
        candidate_metrics = evaluate(model, data.test, METRICS)
        popular_metrics = evaluate(Popularity().fit(data.train, None), data.test, METRICS)
    if champion is not None:
        bundle = registry.bundle(champion.name, device=pipeline.train.device)
        if data.test is not None:
            champion_metrics = evaluate(ModelOnCatalogue(bundle, data.train), data.test, METRICS)
        before = state_of(champion.record, bundle.items)
    records = run.history.records
    collapsed = None
    if isinstance(model, Autoencoder) and records:
        best = records[run.history.best_epoch if run.history.best_epoch is not None else -1]
        collapsed = best.collapsed_dimensions / model.architecture.n_latent
    state = state_of(
        {"data": {"mean_interactions": data.train.n_interactions / data.train.n_users},
         "collapsed": collapsed},
        data.train.item_ids,
    )  # fmt: skip
    verdicts = judge(
        pipeline.gates, candidate_metrics, popular_metrics, champion_metrics, state, before, GROUPS
    )
    metrics = {
        name: {str(m): e.mean(m) for m in METRICS}
        for name, e in (
            ("candidate", candidate_metrics),
            ("popularity", popular_metrics),
            ("champion", champion_metrics),
        )
        if e is not None
    }
    users = next(v for v in verdicts if v.gate == "min_users")
    if champion is None and (users.value or 0) < users.limit:
        remarks = [
            f"only {users.measured} are held out and have targets: this first version is hardly "
            "judged"
        ]
    else:
        measured = (candidate_metrics, champion_metrics, popular_metrics)
        remarks = reliability_remarks(pipeline.gates, *measured)
    return verdicts, metrics, collapsed, tuple(remarks)
