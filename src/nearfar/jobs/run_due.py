"""Run what is due: train after a week, publish what passed the gates, score the day."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from nearfar.core.errors import SettingsError
from nearfar.jobs.executor import LOCAL, Executor
from nearfar.jobs.gates import check_accepted
from nearfar.jobs.item_details import refresh_items
from nearfar.jobs.job import Say, told
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.publish import publish, waiting
from nearfar.jobs.registry import Registry
from nearfar.jobs.score_daily import Scored, denied_names, score_daily
from nearfar.jobs.train_weekly import Trained, train_weekly
from nearfar.jobs.window import check_day
from nearfar.train.callback import Callback


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run of the pipeline came to.

    Args:
        trained: the weekly training, if it was due.
        published: the version that was made current, if any.
        scored: the daily scoring.
        failure: of the training, of publishing or of reading the titles of `[items]`, where the
            day could be scored all the same.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.run_due import RunResult
        >>> from nearfar.jobs.run_due import run_due
        >>> run_due(pipeline, date(2026, 5, 1)).published  # doctest: +SKIP
    """

    trained: Trained | None
    published: str | None
    scored: Scored
    failure: Exception | None = None


def yesterday() -> date:
    """The last whole day in UTC."""
    return datetime.now(UTC).date() - timedelta(days=1)


def training_due(pipeline: Pipeline, as_of: date) -> bool:
    """Whether the newest version is as old as `every_days`, or there is none.

    A candidate that the gates refused counts: it is tried again when the next training is due,
    not every day.
    """
    versions = Registry(pipeline.registry).versions()
    if not versions:
        return True
    newest = max(date.fromisoformat(v.as_of) for v in versions)
    return (as_of - newest).days >= pipeline.train.every_days


def run_due(
    pipeline: Pipeline,
    as_of: date,
    *,
    say: Say = lambda text: None,
    callbacks: tuple[Callback, ...] = (),
    on_users: Callable[[int, int], object] = lambda done, total: None,
    executor: Executor = LOCAL,
    accept: Collection[str] = (),
    allow_future: bool = False,
) -> RunResult:
    """Train if it is due, publish what passed the gates, and score the day.

    Also a version of an earlier run is published that was stopped before it could, but none that
    a rollback has left, nor an older one.

    The file of `[items]` is read at every run, and its titles are those of all versions.

    A training that fails or is refused does not keep the day from being scored by the version
    that is current; the result covers both, and the record of the scoring says why it failed.

    Args:
        pipeline: the settings.
        as_of: the last day of events.
        say: told what is being done, in one line each.
        callbacks: receive the events of the fit, where one is due.
        on_users: told how many users are scored, of how many.
        executor: who trains and scores.
        accept: checks of the contract and gates that may fail this once, by name, as "volume".
        allow_future: take a day after today.

    Raises: as `score_daily`; and as `train_weekly` and `publish` where no version is current.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.run_due import run_due
        >>> result = run_due(pipeline, date(2026, 5, 1), say=print)  # doctest: +SKIP
    """
    check_day(as_of, allow_future=allow_future)
    check_accepted(accept)
    # A file that is missing or wrong is told of before the hours of a training.
    denied_names(pipeline)
    pipeline.score.read_experiment()
    trained, published, failure = None, None, None
    registry = Registry(pipeline.registry)
    try:
        refresh_items(pipeline.items, registry.folder, say)
        if training_due(pipeline, as_of):
            trained = train_weekly(
                pipeline, as_of, say=say, callbacks=callbacks, executor=executor, accept=accept,
                allow_future=allow_future,
            )  # fmt: skip
        else:
            say("no training is due")
        published = _published(pipeline, as_of, say)
        if trained is not None and registry.current() is None:
            raise SettingsError(_why_none(trained))
    except Exception as error:
        if registry.current() is None:
            raise
        say(f"titles, training or publishing failed: {error}")
        failure = error
    scored = score_daily(
        pipeline, as_of, say=say, on_users=on_users, executor=executor, accept=accept,
        allow_future=allow_future, training_failed=None if failure is None else told(failure),
    )  # fmt: skip
    return RunResult(trained, published, scored, failure)


def _why_none(trained: Trained) -> str:
    """Why no version is there to score with, right after a training."""
    name = trained.version.name
    failed = [verdict for verdict in trained.verdicts if not verdict.passed]
    if not failed:
        return f"{name} is trained and not published; look at it, then: nearfar pipeline publish"
    reasons = "; ".join(f"{verdict.gate}: {verdict.told}" for verdict in failed)
    return (
        f"{name} is trained, but did not pass ({reasons}), and no earlier version can score; train "
        f"on more events, or let it pass once with --accept {failed[0].gate}"
    )


def _published(pipeline: Pipeline, as_of: date, say: Say) -> str | None:
    """The version that was made current, if one waits for it."""
    version = waiting(Registry(pipeline.registry), as_of) if pipeline.train.publish else None
    if version is None:
        return None
    say(f"publishing {version.name}")
    return publish(pipeline.registry, version.name).name
