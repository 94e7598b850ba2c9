"""The daily scoring: write recommendations for all active users and publish them atomically."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.similar import item_facts
from nearfar.core.errors import ArtefactError, DataError, SettingsError
from nearfar.core.files import read_json, remove, write_json
from nearfar.core.settings import to_plain
from nearfar.data.events import Log
from nearfar.data.interactions import Interactions
from nearfar.jobs.denied_items import denied_ids
from nearfar.jobs.executor import LOCAL, Executor
from nearfar.jobs.gates import check_accepted
from nearfar.jobs.job import Say, recorded
from nearfar.jobs.new_items import FILE, extend_version
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.pipeline_sections import ScoreSection
from nearfar.jobs.registry import Registry
from nearfar.jobs.retention import apply_retention
from nearfar.jobs.window import check_day, day_start, window_events
from nearfar.reranking.reranking import Reranking

STARTED = "scoring.json"
NEW_ITEMS = "new_items"


@dataclass(frozen=True)
class Scored:
    """The result of a daily scoring.

    Args:
        as_of: the day, as ISO date.
        version: version that scored.
        n_users: number of active users.
        n_rows: number of recommendations written, including parts written by an earlier run.
        n_unknown: number of users without an item in the catalogue; they receive popular items.
        n_resumed: number of users in parts written by an earlier run.
        n_events: number of events of the window that the contract accepted.
        n_rejected: number of events of the window that the contract refused.
        left_out: number of rows of the window that are not events, by reason.
        already: whether the day was published before with the same inputs, so nothing was done.
        seconds: duration of the whole job.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.score_daily import Scored
        >>> from nearfar.jobs.score_daily import score_daily
        >>> score_daily(pipeline, date(2026, 5, 1)).n_users  # doctest: +SKIP
    """

    as_of: str
    version: str
    n_users: int
    n_rows: int
    n_unknown: int
    n_resumed: int
    n_events: int
    n_rejected: int
    already: bool
    seconds: float
    left_out: dict[str, int] = field(default_factory=dict)


def score_daily(
    pipeline: Pipeline,
    as_of: date,
    *,
    again: bool = False,
    say: Say = lambda text: None,
    on_users: Callable[[int, int], object] = lambda done, total: None,
    executor: Executor = LOCAL,
    accept: Collection[str] = (),
    allow_future: bool = False,
    training_failed: str | None = None,
) -> Scored:
    """Score every user who was active in the days up to `as_of`, with the current version.

    With `[score] experiment` and `arm`, score only the users of that arm.

    The job is idempotent: a day published with this version and these events is left as it is. A
    run that was killed resumes after its last part. Readers see the day once it is complete.

    Args:
        pipeline: settings of the pipeline.
        as_of: day under which the recommendations are published.
        again: score the day even if it is published.
        say: receives a line per step.
        on_users: called with the number of users scored and the number to score.
        executor: runs the scoring.
        accept: names of checks of the contract that may fail this once, as "volume".
        allow_future: allow a day after today.
        training_failed: why the training that was due on this day failed; kept in the record.

    Raises:
        LockedError: another job is running.
        SettingsError: no version is published, the file of the experiment or the rules is wrong,
            or the day is after today.
        DataError: the events break the contract, or nobody was active.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.score_daily import score_daily
        >>> scored = score_daily(pipeline, date(2026, 5, 1))  # doctest: +SKIP
    """
    check_day(as_of, allow_future=allow_future)
    check_accepted(accept)
    registry = Registry(pipeline.registry)
    started = time.perf_counter()
    with recorded(registry, "score", as_of=str(as_of)):
        result = _score(pipeline, registry, as_of, again, say, on_users, executor, accept)
        apply_retention(pipeline, registry, as_of, say)
        seconds = time.perf_counter() - started
        registry.note(
            "score", "already done" if result.already else "done", version=result.version,
            as_of=str(as_of), seconds=seconds, users=result.n_users, rows=result.n_rows,
            unknown=result.n_unknown, resumed=result.n_resumed, events=result.n_events,
            rejected=result.n_rejected, left_out=result.left_out,
            **({} if training_failed is None else {"training_failed": training_failed}),
            **({"accept": sorted(accept)} if accept else {}),
        )  # fmt: skip
    return replace(result, seconds=seconds)


def _score(
    pipeline: Pipeline,
    registry: Registry,
    as_of: date,
    again: bool,
    say: Say,
    on_users: Callable[[int, int], object],
    executor: Executor,
    accept: Collection[str],
) -> Scored:
    version = registry.current()
    if version is None:
        raise SettingsError("no version is published; train and publish one first")
    events = window_events(pipeline, as_of, "score", say, accept)
    active = _active_users(events.frame, pipeline, as_of, say)
    bundle = extend_version(pipeline, registry, version, active, say)
    deny = denied_ids(pipeline, bundle)
    absent = deny.filter(pl.Series(bundle.items.index(deny) < 0))
    if len(absent):
        say(
            f"{len(absent):,} of {len(deny):,} denied ids are not items of {version}, such as "
            f"{absent[0]!r}"
        )
    reranking = pipeline.score.reranking
    if reranking is not None:
        for unknown in reranking.over(item_facts(bundle)).rules.unknown:
            say(f"{unknown}; the rule is ignored")
    histories = active.on_items(bundle.items)
    if not histories.n_interactions:
        _check_items(events.frame["item"], bundle, version)
    inputs = _inputs(pipeline, as_of, version, active, bundle, deny, reranking)
    if not again and _is_published(pipeline, registry, as_of, inputs):
        say(f"{as_of} is published by {version} from the same events; nothing to do")
        return Scored(
            str(as_of), version, active.n_users, 0, 0, 0, events.frame.height, events.n_rejected,
            True, 0.0, events.left_out,
        )  # fmt: skip
    arm = "" if pipeline.score.arm is None else f" of arm {pipeline.score.arm}"
    say(
        f"{active.n_users:,} users{arm} were active in {pipeline.score.active_days} days; {version}"
    )
    mark = registry.folder / STARTED
    resume = not again and mark.exists() and _read_mark(mark) == inputs
    # Remove marks of other inputs before the data that they describe changes, so that a run killed
    # at any point leaves no wrong mark behind.
    remove(registry.scored_mark(as_of))
    if not resume:
        remove(mark)
    part_users, n_users = pipeline.score.part_users, active.n_users

    def size(part: int) -> int:
        return min((part + 1) * part_users, n_users) - part * part_users

    with pipeline.sink.writing(as_of, version, resume=resume) as writer:
        write_json(mark, inputs)  # `writing` has dropped the parts of other inputs
        n_resumed = n_done = sum(size(part) for part in writer.parts)
        n_rows = 0

        def count_part(part: int, part_rows: int) -> None:
            nonlocal n_done, n_rows
            n_done += size(part)
            n_rows += part_rows
            on_users(n_done, n_users)

        on_users(n_done, n_users)
        executor.score(pipeline, bundle, histories, deny, reranking, writer, count_part)
    if n_resumed:  # the earlier run was killed before it could record its number of rows
        n_rows = pipeline.sink.read(as_of).height
    n_unknown = int((np.diff(histories.x.indptr) == 0).sum())
    write_json(registry.scored_mark(as_of), inputs)
    remove(mark)
    return Scored(
        str(as_of), version, n_users, n_rows, n_unknown, n_resumed, events.frame.height,
        events.n_rejected, False, 0.0, events.left_out,
    )  # fmt: skip


def _check_items(items: pl.Series, bundle: Bundle, version: str) -> None:
    """Check that the window has an item of the version.

    Raises:
        DataError: it has none, so the ids are probably written differently since the training, and
            all users would get what is popular.
    """
    if (bundle.items.index(items.unique()) < 0).all():
        raise DataError(
            f"no item of the events is one of {version}: ids of the events look like {items[0]!r}, "
            f"those of {version} like {bundle.items.ids[0]!r}; write them as before, or train a "
            "version on them"
        )


def _inputs(
    pipeline: Pipeline,
    as_of: date,
    version: str,
    active: Interactions,
    bundle: Bundle,
    deny: pl.Series,
    reranking: Reranking | None,
) -> dict[str, Any]:
    """Return all that determines a day's recommendations, JSON-able."""
    score = pipeline.score
    inputs = {
        "day": str(as_of), "version": version, "users": active.fingerprint,
        "deny": sorted(map(str, deny)), "k": score.k, "exclude_seen": score.exclude_seen,
        "part_users": score.part_users,
    }  # fmt: skip
    if reranking is not None:
        inputs["rerank"] = to_plain(reranking)
    if NEW_ITEMS in bundle.metadata.data:
        inputs[NEW_ITEMS] = bundle.metadata.data[NEW_ITEMS][FILE]
    return inputs


def _active_users(frame: pl.DataFrame, pipeline: Pipeline, as_of: date, say: Say) -> Interactions:
    """Return the window's histories of users with an event in the last days, sorted by user id."""
    log = pipeline.train.filters.apply(Log.from_frame(frame, name="events"))
    first = day_start(as_of - timedelta(days=pipeline.score.active_days - 1))
    # Active users come from all events, not the filtered ones: filters keep only the first of
    # repeated events, and a user without a new item is active too.
    ids = frame.filter(pl.col("timestamp") >= first)["user"].unique()
    recent = log.user_ids.index(users_of_arm(pipeline.score, ids))
    if n_filtered := int((recent < 0).sum()):
        say(
            f"{n_filtered:,} active users are left out by train.filters; nothing is stored for them"
        )
    recent = recent[recent >= 0]
    if not len(recent):
        who = "nobody" if pipeline.score.arm is None else f"nobody of arm {pipeline.score.arm!r}"
        raise DataError(f"{who} was active in the {pipeline.score.active_days} days up to {as_of}")
    users = log.user_ids.take(recent)
    order = users.ids.arg_sort().to_numpy()
    return log.interactions().take_users(recent[order])


def users_of_arm(score: ScoreSection, users: pl.Series) -> pl.Series:
    """Return the users of the scored arm, in their order; all users without an experiment.

    Raises:
        SettingsError: as `ScoreSection.read_experiment`.
    """
    experiment = score.read_experiment()
    if experiment is None:
        return users
    return users.filter(experiment.arms_of(users) == score.arm)


def _is_published(pipeline: Pipeline, registry: Registry, as_of: date, inputs: dict) -> bool:
    """Return whether the sink holds the day, scored by this version from the same inputs."""
    mark = registry.scored_mark(as_of)
    return (
        mark.exists()
        and _read_mark(mark) == inputs
        and pipeline.sink.holds(as_of, inputs["version"])
    )


def _read_mark(path: Path) -> dict[str, Any] | None:
    """Return the inputs of a scored day; None, for scoring it again, if the file is damaged."""
    try:
        return read_json(path)
    except ArtefactError:
        return None
