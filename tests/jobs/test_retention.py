"""Days and versions that are removed, by hand or by the settings."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from nearfar.core.errors import DataError, SettingsError
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.publish import publish, rollback
from nearfar.jobs.registry import Registry
from nearfar.jobs.retention import remove_day
from nearfar.jobs.run_due import run_due
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly
from tests.jobs.cases import SETTINGS, pipeline_in, write_days


@pytest.fixture
def shop(tmp_path: Path, monkeypatch) -> tuple[Path, date]:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    return tmp_path, write_days(tmp_path / "events", 42)


def shop_pipeline(folder: Path, **over) -> Pipeline:
    return pipeline_in(folder, gates={"max_coverage_drop": 1.0, "max_ndcg_drop": 1.0}, **over)


def test_a_removed_day_is_gone_and_can_be_scored_again(shop: tuple[Path, date]) -> None:
    folder, last = shop
    pipeline = shop_pipeline(folder)
    registry = Registry(pipeline.registry)
    before = last - timedelta(days=1)
    for day in (before, last):
        run_due(pipeline, day)
    reader = pipeline.sink.reader(1.0)
    assert reader.latest() == last
    assert remove_day(pipeline, last) == before
    assert reader.latest() == before
    assert not registry.scored_mark(last).exists()
    with pytest.raises(DataError, match=f"{last} is not published; 1 days from {before}"):
        remove_day(pipeline, last)
    assert not run_due(pipeline, last).scored.already
    assert pipeline.sink.dates() == [before, last]
    assert [e["outcome"] for e in registry.events("remove-day")] == ["failed", "done"]


def test_days_and_versions_are_kept_as_the_settings_say(shop: tuple[Path, date]) -> None:
    folder, last = shop
    everything = shop_pipeline(folder)
    registry = Registry(everything.registry)
    names = []
    for n in (4, 3, 2, 1, 0):
        day = last - timedelta(days=n)
        names.append(train_weekly(everything, day).version.name)
        publish(everything.registry, names[-1], force=True)
        score_daily(everything, day)
    assert [v.name for v in registry.versions()] == names, "by default nothing is removed"
    assert len(everything.sink.dates()) == 5
    rollback(everything.registry)
    retained = pipeline_with(folder, days=2, versions=1)
    score_daily(retained, last)
    assert retained.sink.dates() == [last - timedelta(days=1), last]
    assert [v.name for v in registry.versions()] == names[2:], "current, rollback's, and newer"
    folders = (everything.registry / "versions").iterdir()
    assert sorted(path.name for path in folders) == names[2:]
    assert registry.pointer()["before"] == [names[2]]
    assert rollback(retained.registry).name == names[2]
    # A name that is gone is not given again: days and rows may still speak of it.
    assert registry.new_name(str(last - timedelta(days=4))) == f"{last - timedelta(days=4)}-002"


def pipeline_with(folder: Path, **retention: int) -> Pipeline:
    from nearfar.jobs.pipeline import make_pipeline

    return make_pipeline({**SETTINGS, "retention": retention}, folder)


def test_a_day_to_come_takes_no_other_with_it(shop: tuple[Path, date]) -> None:
    folder, last = shop
    run_due(shop_pipeline(folder), last)
    today = datetime.now(UTC).date()
    kept = pipeline_with(folder, days=(today - last).days + 1)
    future = today + timedelta(days=1)
    for job in (train_weekly, score_daily, run_due):
        with pytest.raises(SettingsError, match="--allow-future"):
            job(kept, future)
    from nearfar.jobs.retention import apply_retention

    apply_retention(kept, Registry(kept.registry), date(8000, 1, 1), print)
    assert kept.sink.dates() == [last]


def test_a_failed_training_is_told_with_the_day_that_is_scored(
    shop: tuple[Path, date], monkeypatch
) -> None:
    folder, last = shop
    pipeline = shop_pipeline(folder)
    run_due(pipeline, last - timedelta(days=7))

    def fail(*_: object, **__: object) -> None:
        raise DataError("the disk of the training is gone")

    monkeypatch.setattr("nearfar.jobs.run_due.train_weekly", fail)
    found = run_due(pipeline, last)
    assert isinstance(found.failure, DataError)
    assert found.scored.as_of == str(last)
    event = Registry(pipeline.registry).events("score")[0]
    assert event["detail"]["training_failed"] == "the disk of the training is gone"


def test_a_first_version_of_a_small_shop_is_published_with_a_remark(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 28, n_users=20, per_day=15)
    pipeline = pipeline_in(tmp_path, train={"held_out": 0.1})
    found = run_due(pipeline, last)
    assert found.published == found.scored.version
    assert found.trained is not None
    (remark,) = found.trained.remarks
    assert "this first version is hardly judged" in remark
    assert Registry(pipeline.registry).version(found.published).record["remarks"] == [remark]


def test_later_trainings_hold_out_the_share_that_the_first_chose(
    shop: tuple[Path, date],
) -> None:
    folder, last = shop
    pipeline = shop_pipeline(folder, train={"held_out": None})
    first = run_due(pipeline, last - timedelta(days=7)).trained
    second = run_due(pipeline, last).trained
    assert first is not None
    assert second is not None
    assert first.version.record["held_out"] == second.version.record["held_out"] == 0.2
