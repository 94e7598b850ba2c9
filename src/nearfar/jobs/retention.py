"""What is removed: a day by hand, and days and versions that are older than the settings keep."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from nearfar.core.errors import DataError
from nearfar.core.files import remove
from nearfar.jobs.job import Say, recorded
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.registry import Registry

JOBS = ("train", "score")


def remove_day(pipeline: Pipeline, day: date) -> date | None:
    """Withdraw a day of recommendations: readers see the latest of those that are left.

    Also parts of it that were never published go. The versions stay; `score_daily` writes the day
    again.

    Args:
        pipeline: the settings.
        day: which day.

    Returns:
        The day that is the latest now; None where none is left.

    Raises:
        LockedError: another job is running.
        DataError: the day is not published, or the sink cannot be written.

    Examples:
        >>> from datetime import date
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
        >>> from nearfar.jobs.retention import remove_day
        >>> latest = remove_day(pipeline, date(2026, 5, 1))  # doctest: +SKIP
    """
    registry = Registry(pipeline.registry)
    with recorded(registry, "remove-day", as_of=str(day)):
        published = day in pipeline.sink.dates()
        _remove(pipeline, registry, day)
        left = pipeline.sink.dates()
        if not published:
            days = f"{len(left)} days from {left[0]} to {left[-1]} are" if left else "none is"
            raise DataError(f"{day} is not published; {days}")
        registry.note("remove-day", "done", as_of=str(day))
    return left[-1] if left else None


def apply_retention(pipeline: Pipeline, registry: Registry, as_of: date, say: Say) -> None:
    """Remove the days and versions that `[retention]` does not keep; the caller holds the lock.

    Days are counted back from `as_of`, or from today where that is earlier, so that a day to come
    that was forced takes no other with it.
    """
    days, n_versions = pipeline.retention.days, pipeline.retention.versions
    if days is not None:
        newest = min(as_of, datetime.now(UTC).date())
        for day in pipeline.sink.dates():
            if day <= newest - timedelta(days=days):
                _remove(pipeline, registry, day)
                say(f"{day} is older than {days} days and removed")
    if n_versions is not None:
        for name in registry.remove_versions(n_versions):
            say(f"version {name} is older than the last {n_versions} and removed")


def _remove(pipeline: Pipeline, registry: Registry, day: date) -> None:
    # The mark goes first: without it a day that is still there is only scored again.
    remove(registry.scored_mark(day))
    pipeline.sink.delete(day)
    for job in JOBS:
        remove(registry.quarantine(job, day))
