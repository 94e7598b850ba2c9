"""What a run of the pipeline does, and what it goes on with."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from nearfar.core.errors import SettingsError
from nearfar.jobs.publish import publish, rollback
from nearfar.jobs.registry import Registry
from nearfar.jobs.run_due import run_due
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly
from tests.jobs.cases import pipeline_in, write_days


@pytest.mark.parametrize("job", [train_weekly, score_daily, run_due])
def test_a_day_to_come_is_refused(job, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="as_of is 9000-01-01, and today is"):
        job(pipeline_in(tmp_path), date(9000, 1, 1))


@pytest.mark.slow
def test_a_version_whose_run_was_stopped_before_publishing_is_published(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    pipeline = pipeline_in(tmp_path)
    registry = Registry(pipeline.registry)
    first = train_weekly(pipeline, last - timedelta(days=8)).version.name
    found = run_due(pipeline, last - timedelta(days=7))
    assert found.trained is None
    assert found.published == found.scored.version == first
    unseen = train_weekly(pipeline, last - timedelta(days=2)).version.name
    publish(pipeline.registry, train_weekly(pipeline, last - timedelta(days=1)).version.name)
    assert rollback(pipeline.registry).name == first
    assert run_due(pipeline, last).published is None, "the rollback was undone"
    assert registry.current() == first
    newest = train_weekly(pipeline, last).version.name
    assert run_due(pipeline_in(tmp_path, train={"publish": False}), last).published is None
    assert run_due(pipeline, last - timedelta(days=1)).published is None, "of a later day"
    assert run_due(pipeline, last).published == newest
    assert unseen not in registry.ever_published()


def test_what_was_published_is_known_without_its_row(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    pipeline = pipeline_in(tmp_path)
    names = [train_weekly(pipeline, last - timedelta(days=n)).version.name for n in (1, 0)]
    registry = Registry(pipeline.registry)
    for name in names:
        registry.point_to(name)  # and the job is killed before it notes that
    assert registry.ever_published() == set(names)
    rollback(pipeline.registry)
    assert registry.ever_published() == set(names)
