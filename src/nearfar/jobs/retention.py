"""Remove one day by hand, or the days and versions that are older than the settings keep."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from nearfar.core.errors import DataError
from nearfar.core.files import remove
from nearfar.jobs.job import Say, recorded
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.registry import Registry

JOBS = ("train", "score")


def remove_day(pipeline: Pipeline, day: date) -> date | None:
    """Withdraw a day of recommendations, so that readers see the latest remaining day.

    Parts of the day that were never published are removed too. Versions stay; `score_daily` can
    write the day again.

    Args:
        pipeline: settings of the pipeline.
        day: day to remove.

    Returns:
        The latest day that is left, or None.

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
        _remove_files(pipeline, registry, day)
        days = pipeline.sink.dates()
        if not published:
            text = f"{len(days)} days from {days[0]} to {days[-1]} are" if days else "none is"
            raise DataError(f"{day} is not published; {text}")
        registry.note("remove-day", "done", as_of=str(day))
    return days[-1] if days else None


def apply_retention(pipeline: Pipeline, registry: Registry, as_of: date, say: Say) -> None:
    """Remove the days and versions that `[retention]` does not keep; the caller holds the lock.

    Days are counted back from `as_of`, or from today if that is earlier, so that scoring a future
    day by force does not remove the past ones.
    """
    days, n_versions = pipeline.retention.days, pipeline.retention.versions
    if days is not None:
        newest = min(as_of, datetime.now(UTC).date())
        for day in pipeline.sink.dates():
            if day <= newest - timedelta(days=days):
                _remove_files(pipeline, registry, day)
                say(f"{day} is older than {days} days and removed")
    if n_versions is not None:
        for name in registry.remove_versions(n_versions):
            say(f"version {name} is older than the last {n_versions} and removed")


def _remove_files(pipeline: Pipeline, registry: Registry, day: date) -> None:
    # The mark goes first: a day without its mark is only scored again.
    remove(registry.scored_mark(day))
    pipeline.sink.delete(day)
    for job in JOBS:
        remove(registry.quarantine(job, day))
