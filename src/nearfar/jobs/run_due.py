"""Run the jobs that are due: train after a week, publish what passed the gates, score the day."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from nearfar.core.errors import SettingsError
from nearfar.jobs.denied_items import denied_names
from nearfar.jobs.executor import LOCAL, Executor
from nearfar.jobs.gates import check_accepted
from nearfar.jobs.item_details import refresh_items
from nearfar.jobs.job import Say, error_text
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.publish import publish, waiting_version
from nearfar.jobs.registry import Registry
from nearfar.jobs.score_daily import Scored, score_daily
from nearfar.jobs.train_weekly import Trained, train_weekly
from nearfar.jobs.window import check_day
from nearfar.train.callback import Callback


@dataclass(frozen=True, eq=False)
class RunResult:
    """The result of a run of the pipeline.

    Args:
        trained: result of the weekly training, if it was due.
        published: name of the version that was made current, if any.
        scored: result of the daily scoring.
        failure: error of the training, of publishing or of reading `[items]` that did not prevent
            the scoring, if any.

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
    """Return the last complete day in UTC."""
    return datetime.now(UTC).date() - timedelta(days=1)


def training_due(pipeline: Pipeline, as_of: date) -> bool:
    """Return whether the newest version is at least `every_days` old, or there is none.

    A candidate that the gates refused counts as a version, so that a refused training is repeated
    when the next one is due and not every day.
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

    A version that an earlier run could not publish because it was stopped is published now. A
    version that a rollback left, or an older one, is not.

    The file of `[items]` is read at every run and gives all versions their titles.

    If the training fails or is refused, the current version scores the day. The result covers both,
    and the record of the scoring says why the training failed.

    Args:
        pipeline: settings of the pipeline.
        as_of: last day of events.
        say: receives a line per step.
        callbacks: receive the events of the fit, if one is due.
        on_users: called with the number of users scored and the number to score.
        executor: runs the training and the scoring.
        accept: names of gates and checks of the contract that may fail this once, as "volume".
        allow_future: allow a day after today.

    Raises:
        NearfarError: as `score_daily`; and as `train_weekly` and `publish` if no version is
            current.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.run_due import run_due
        >>> result = run_due(pipeline, date(2026, 5, 1), say=print)  # doctest: +SKIP
    """
    check_day(as_of, allow_future=allow_future)
    check_accepted(accept)
    # Fail on a missing or wrong file before hours of training.
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
        published = _publish_waiting(pipeline, as_of, say)
        if trained is not None and registry.current() is None:
            raise SettingsError(_why_no_version(trained))
    except Exception as error:
        if registry.current() is None:
            raise
        say(f"titles, training or publishing failed: {error}")
        failure = error
    scored = score_daily(
        pipeline, as_of, say=say, on_users=on_users, executor=executor, accept=accept,
        allow_future=allow_future, training_failed=None if failure is None else error_text(failure),
    )  # fmt: skip
    return RunResult(trained, published, scored, failure)


def _why_no_version(trained: Trained) -> str:
    """Return why no version can score right after a training."""
    name = trained.version.name
    failed = [verdict for verdict in trained.verdicts if not verdict.passed]
    if not failed:
        return f"{name} is trained and not published; check it, then: nearfar pipeline publish"
    reasons = "; ".join(f"{verdict.gate}: {verdict.message}" for verdict in failed)
    return (
        f"{name} is trained, but did not pass ({reasons}), and no earlier version can score; train "
        f"on more events, or let it pass once with --accept {failed[0].gate}"
    )


def _publish_waiting(pipeline: Pipeline, as_of: date, say: Say) -> str | None:
    """Publish the version that waits for it, if any; return its name."""
    version = (
        waiting_version(Registry(pipeline.registry), as_of) if pipeline.train.publish else None
    )
    if version is None:
        return None
    say(f"publishing {version.name}")
    return publish(pipeline.registry, version.name).name
