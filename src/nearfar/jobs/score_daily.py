"""The daily scoring: recommendations for all active users, published at once."""

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
from nearfar.jobs.executor import LOCAL, Executor
from nearfar.jobs.gates import check_accepted
from nearfar.jobs.job import Say, recorded
from nearfar.jobs.new_items import FILE, with_items_since
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.registry import Registry
from nearfar.jobs.retention import apply_retention
from nearfar.jobs.sections import ScoreSection
from nearfar.jobs.window import check_day, moment, window_events
from nearfar.reranking.reranking import Reranking

STARTED = "scoring.json"
NEW_ITEMS = "new_items"


@dataclass(frozen=True)
class Scored:
    """What a daily scoring came to.

    Args:
        as_of: the day, as ISO date.
        version: whose recommendations.
        n_users: that were active.
        n_rows: recommendations that were written, those of parts of a run before among them.
        n_unknown: users of whose history the version knows no item; they were given what is
            popular.
        n_resumed: users of parts that a run before had written.
        n_events: of the window that the contract accepted.
        n_rejected: that it refused.
        left_out: rows of the window that are no events, by reason.
        already: the day was published before with this version and these events; nothing was
            done.
        seconds: of the whole job.

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
    """Recommend to every user who was active in the days up to `as_of`, by the current version.

    With `[score] experiment` and `arm`, to those of that arm alone.

    Idempotent: a day that is published with this version and these events is left as it is. A
    run that was killed is taken up after its last part; readers see nothing of it before all is
    written.

    Args:
        pipeline: the settings.
        as_of: the day; its recommendations are filed under it.
        again: score also what is published already.
        say: told what is being done.
        on_users: told how many users are done, of how many.
        executor: who scores.
        accept: checks of the contract that may fail this once, by name, as "volume".
        allow_future: score a day after today.
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
        found = _score(pipeline, registry, as_of, again, say, on_users, executor, accept)
        apply_retention(pipeline, registry, as_of, say)
        seconds = time.perf_counter() - started
        registry.note(
            "score", "already done" if found.already else "done", version=found.version,
            as_of=str(as_of), seconds=seconds, users=found.n_users, rows=found.n_rows,
            unknown=found.n_unknown, resumed=found.n_resumed, events=found.n_events,
            rejected=found.n_rejected, left_out=found.left_out,
            **({} if training_failed is None else {"training_failed": training_failed}),
            **({"accept": sorted(accept)} if accept else {}),
        )  # fmt: skip
    return replace(found, seconds=seconds)


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
    active = _active(events.frame, pipeline, as_of, say)
    bundle = with_items_since(pipeline, registry, version, active, say)
    deny = _denied(pipeline, bundle)
    if n_absent := int((bundle.items.index(deny) < 0).sum()):
        say(f"{n_absent:,} of {len(deny):,} denied ids are no items of {version}")
    reranking = pipeline.score.reranking
    if reranking is not None:
        for unknown in reranking.over(item_facts(bundle)).rules.unknown:
            say(f"{unknown}; the rule is ignored")
    inputs = _inputs(pipeline, as_of, version, active, bundle, deny, reranking)
    if not again and _published(pipeline, registry, as_of, inputs):
        say(f"{as_of} is published by {version} from the same events; nothing to do")
        return Scored(
            str(as_of), version, active.n_users, 0, 0, 0, events.frame.height, events.n_rejected,
            True, 0.0, events.left_out,
        )  # fmt: skip
    whose = "" if pipeline.score.arm is None else f" of arm {pipeline.score.arm}"
    say(
        f"{active.n_users:,} users{whose} were active in {pipeline.score.active_days} days; "
        f"{version}"
    )
    mark = registry.folder / STARTED
    resume = not again and mark.exists() and _read_mark(mark) == inputs
    # Marks of other inputs go before what they tell of changes: a run that is killed anywhere
    # leaves no mark behind that is wrong.
    remove(registry.scored_mark(as_of))
    if not resume:
        remove(mark)
    known = active.on_items(bundle.items)
    step, n_users = pipeline.score.part_users, active.n_users

    def size(part: int) -> int:
        return min((part + 1) * step, n_users) - part * step

    with pipeline.sink.writing(as_of, version, resume=resume) as writer:
        write_json(mark, inputs)  # parts of other inputs are dropped by now
        resumed = done = sum(size(part) for part in writer.parts)
        rows = 0

        def tell(part: int, n_rows: int) -> None:
            nonlocal done, rows
            done += size(part)
            rows += n_rows
            on_users(done, n_users)

        on_users(done, n_users)
        executor.score(pipeline, bundle, known, deny, reranking, writer, tell)
    if resumed:  # the run before did not live to tell how many it wrote
        rows = pipeline.sink.read(as_of).height
    unknown = int((np.diff(known.x.indptr) == 0).sum())
    write_json(registry.scored_mark(as_of), inputs)
    remove(mark)
    return Scored(
        str(as_of), version, n_users, rows, unknown, resumed, events.frame.height,
        events.n_rejected, False, 0.0, events.left_out,
    )  # fmt: skip


def _inputs(
    pipeline: Pipeline,
    as_of: date,
    version: str,
    active: Interactions,
    bundle: Bundle,
    deny: pl.Series,
    reranking: Reranking | None,
) -> dict[str, Any]:
    """What decides a day's recommendations, JSON-able: a day of the same inputs stays as it is."""
    score = pipeline.score
    inputs = {
        "day": str(as_of), "version": version, "users": active.fingerprint,
        "deny": sorted(map(str, deny)), "k": score.k, "exclude_seen": score.exclude_seen,
        "part_users": score.part_users,
    }  # fmt: skip
    if reranking is not None:
        inputs["rerank"] = to_plain(reranking)
    if NEW_ITEMS in bundle.about.data:
        inputs[NEW_ITEMS] = bundle.about.data[NEW_ITEMS][FILE]
    return inputs


def _active(frame: pl.DataFrame, pipeline: Pipeline, as_of: date, say: Say) -> Interactions:
    """Whole histories in the window of users with an event in the last days, by id."""
    log = pipeline.train.filters.apply(Log.from_frame(frame, name="events"))
    first = moment(as_of - timedelta(days=pipeline.score.active_days - 1))
    # A user without a new item is active too: filters keep the first of repeated events.
    ids = frame.filter(pl.col("timestamp") >= first)["user"].unique()
    recent = log.user_ids.index(of_arm(pipeline.score, ids))
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


def of_arm(score: ScoreSection, users: pl.Series) -> pl.Series:
    """Of these ids those in the arm that is scored, in their order; all without an experiment.

    Raises:
        SettingsError: as of `ScoreSection.read_experiment`.
    """
    experiment = score.read_experiment()
    if experiment is None:
        return users
    return users.filter(experiment.arms_of(users) == score.arm)


def denied_names(pipeline: Pipeline) -> list[str]:
    """Ids of the items that are never recommended, as text.

    Raises: SettingsError where their file cannot be read.
    """
    names = list(pipeline.score.deny)
    if pipeline.score.deny_file is not None:
        path = Path(pipeline.score.deny_file)
        try:
            names += [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"deny_file {path} cannot be read: {error}") from None
    return [name for name in names if name]


def _denied(pipeline: Pipeline, bundle: Bundle) -> pl.Series:
    """Ids of the items that are never recommended, of the catalogue's kind; unknown ones too."""
    ids = pl.Series("item", denied_names(pipeline), dtype=pl.String)
    if not bundle.items.is_integer:
        return ids
    numbers = ids.cast(pl.Int64, strict=False)
    if numbers.null_count():
        raise SettingsError(f"{ids.filter(numbers.is_null())[0]!r} is denied; ids are integers")
    return numbers


def _published(pipeline: Pipeline, registry: Registry, as_of: date, inputs: dict) -> bool:
    """Whether the sink holds the day by the same version, and it was made of the same inputs."""
    mark = registry.scored_mark(as_of)
    return (
        mark.exists()
        and _read_mark(mark) == inputs
        and pipeline.sink.holds(as_of, inputs["version"])
    )


def _read_mark(path: Path) -> dict[str, Any] | None:
    """Read what a day was scored from; None where the file is damaged: it is scored again."""
    try:
        return read_json(path)
    except ArtefactError:
        return None
