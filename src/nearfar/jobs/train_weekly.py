"""The weekly training: a window of events to a candidate, judged by the gates."""

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
    accepting,
    chance,
    check_accepted,
    judge,
    state_of,
)
from nearfar.jobs.job import Say, recorded
from nearfar.jobs.pipeline import Pipeline, exports_of
from nearfar.jobs.registry import Registry, Version
from nearfar.jobs.stopped_trainings import forget, take_up, warm_file
from nearfar.jobs.window import (
    TrainingWindow,
    WindowEvents,
    check_day,
    training_of,
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
"""What was held out of versions whose records do not tell."""


@dataclass(frozen=True, eq=False)
class Trained:
    """What a weekly training came to.

    Args:
        version: the candidate, registered.
        verdicts: of the gates.
        warm: whether it went on from the champion's weights.
        seconds: of the whole job.
        remarks: on how much the gates can tell.

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
    """Train a candidate on the window that ends with `as_of` and register it.

    A training that was killed is taken up from its checkpoint by the next call for the same day,
    events and settings; with others it starts anew. Nothing is registered before the candidate is
    judged.

    Args:
        pipeline: the settings.
        as_of: the last day whose events are used.
        say: told what is being done, in one line each.
        callbacks: receive the events of the fit.
        executor: who trains.
        accept: checks of the contract and gates that may fail this once, by name, as "volume".
        allow_future: take a day after today.

    Raises:
        LockedError: another job is running.
        DataError: the events break the contract, or are too few.
        SettingsError: the day is after today.
        UnknownNameError: there is no check of a name in `accept`.

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
        found = _train(pipeline, registry, as_of, say, callbacks, executor, accept)
        seconds = time.perf_counter() - started
        registry.note(
            "train", "passed" if found.passed else "refused", version=found.version.name,
            as_of=str(as_of), seconds=seconds, warm=found.warm,
            gates=[v.to_dict() for v in found.verdicts], metrics=found.version.record["metrics"],
            rejected=found.version.record["data"]["rejected"],
            left_out=found.version.record["data"]["contract"]["left_out"],
            events=found.version.record["data"]["events"], remarks=list(found.remarks),
            **({"accept": sorted(accept)} if accept else {}),
        )  # fmt: skip
        return replace(found, seconds=seconds)


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
    champion = _champion(registry, say)
    data = training_of(
        events.frame, section.filters, as_of=as_of, share=_share(pipeline, champion),
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
    algorithm, warm = _algorithm(pipeline, champion, data.train, folder, say)
    warm_from = champion.name if champion and warm else None
    made_of = {
        **identity(algorithm, data.train, data.validation), "seed": section.seed,
        "precision": section.precision, "warm_from": warm_from,
        "by": type(executor).__name__, "nearfar": __version__,
    }  # fmt: skip
    take_up(folder, made_of, say)
    run = Run(
        seed=section.seed, device=section.device, precision=section.precision, folder=folder,
        resume=True, checkpoint_seconds=section.checkpoint_seconds, callbacks=callbacks,
    )  # fmt: skip
    model = executor.fit(algorithm, data.train, data.validation, run)
    say("judging the candidate")
    verdicts, measured, collapsed, remarks = _judged(pipeline, model, run, data, champion, registry)
    report_measured(callbacks, measured.get("candidate", {}))
    verdicts = accepting(verdicts, accept)
    record = {
        "as_of": str(as_of),
        "passed": all(v.passed for v in verdicts),
        "gates": [v.to_dict() for v in verdicts],
        "remarks": list(remarks),
        "held_out": data.share,
        "metrics": measured,
        "collapsed": collapsed,
        "data": _facts(data, events, window_of(as_of, section.window_days)[0]),
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
        items, text = pipeline.items.told_of(bundle.items, details)
        say(text)
        bundle = replace(bundle, items=items)
    version = registry.register(bundle, registry.new_name(str(as_of)), record, exports)
    forget(folder.parent, str(as_of))
    return Trained(version, verdicts, warm, 0.0, remarks)


def _facts(data: TrainingWindow, events: WindowEvents, since: date) -> dict[str, Any]:
    """What a version's record tells of its training data."""
    train = data.train
    return {
        "since": str(since), "events": data.n_events, "rejected": events.n_rejected,
        "users": train.n_users, "items": train.n_items, "interactions": train.n_interactions,
        "mean_interactions": train.n_interactions / train.n_users,
        "fingerprint": train.fingerprint, "contract": events.report,
    }  # fmt: skip


def _champion(registry: Registry, say: Say) -> Version | None:
    name = registry.current()
    if name is None:
        say("no version is published yet; the gates compare with popularity alone")
        return None
    return registry.version(name)


def _share(pipeline: Pipeline, champion: Version | None) -> float | None:
    """The share to hold out: as set, else the champion's, so that it learnt from none of them."""
    if pipeline.train.held_out is not None or champion is None:
        return pipeline.train.held_out
    return float(champion.record.get("held_out", FORMER_SHARE))


def _algorithm(
    pipeline: Pipeline, champion: Version | None, train: Interactions, folder: Path, say: Say
) -> tuple[Algorithm, bool]:
    """The algorithm as set, started from the champion's weights where that is wanted."""
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


def _judged(
    pipeline: Pipeline,
    model: Model,
    run: Run,
    data: TrainingWindow,
    champion: Version | None,
    registry: Registry,
) -> tuple[list[Verdict], dict[str, Any], float | None, tuple[str, ...]]:
    """The gates' verdicts, what was measured of whom, collapsed dimensions, and remarks."""
    candidate = popular = theirs = before = None
    if data.test is not None:
        candidate = evaluate(model, data.test, METRICS)
        popular = evaluate(Popularity().fit(data.train, None), data.test, METRICS)
    if champion is not None:
        bundle = registry.bundle(champion.name, device=pipeline.train.device)
        if data.test is not None:
            theirs = evaluate(ModelOnCatalogue(bundle, data.train), data.test, METRICS)
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
    verdicts = judge(pipeline.gates, candidate, popular, theirs, state, before, GROUPS)
    measured = {
        name: {str(m): e.mean(m) for m in METRICS}
        for name, e in (("candidate", candidate), ("popularity", popular), ("champion", theirs))
        if e is not None
    }
    remarks = chance(pipeline.gates, candidate, theirs)
    few = next(v for v in verdicts if v.gate == "min_users")
    if champion is None and (few.value or 0) < few.limit:
        remarks.append(
            f"only {few.measured} are held out and have something to find: this first version is "
            "hardly judged"
        )
    return verdicts, measured, collapsed, tuple(remarks)
