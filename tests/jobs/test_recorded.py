"""What is counted and recorded of jobs, of those that fail too."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.jobs.executor import LOCAL
from nearfar.jobs.job import LockedError, locked
from nearfar.jobs.publish import publish, refused_since, rollback
from nearfar.jobs.registry import Registry
from nearfar.jobs.score_daily import _active_users, score_daily
from nearfar.jobs.status import write_prometheus
from nearfar.jobs.train_weekly import train_weekly
from nearfar.jobs.window import day_start, window_events
from nearfar.store.contracts import BrokenContractError
from tests.jobs.cases import FIRST, day_of_events, pipeline_in, write_days


def rejected_metric(folder: Path) -> float:
    write_prometheus(folder / "registry", folder / "x.prom")
    lines = (folder / "x.prom").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("nearfar_events_rejected"))
    return float(line.split()[1])


def last_line(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "registry" / "events.jsonl").read_text().splitlines()[-1])


@pytest.fixture
def published(tmp_path: Path) -> Path:
    last = write_days(tmp_path / "events", 42)
    pipeline = pipeline_in(tmp_path)
    train_weekly(pipeline, last - timedelta(days=1))
    publish(pipeline.registry)
    return tmp_path


def test_events_that_a_scoring_refuses_are_counted(published: Path) -> None:
    last = write_days(published / "events", 42)
    pipeline = pipeline_in(published)
    events = day_of_events(last)
    bad = events.head(3).with_columns(item=pl.lit(None, pl.Int64))
    target = published / "events" / f"date={last}" / "events.parquet"
    pl.concat([events, bad]).write_parquet(target)
    found = score_daily(pipeline, last)
    assert found.n_rejected == 3
    assert rejected_metric(published) == 3
    for event in (Registry(pipeline.registry).events("score")[0], last_line(published)):
        assert event["detail"]["rejected"] == 3
        assert event["detail"]["events"] == found.n_events > 1000
    again = score_daily(pipeline, last)
    assert again.already
    assert (again.n_events, again.n_rejected) == (found.n_events, 3)


def test_of_a_broken_contract_the_counts_are_recorded(published: Path) -> None:
    last = write_days(published / "events", 42)
    bad = day_of_events(last).with_columns(user=pl.lit(None, pl.String))
    bad.write_parquet(published / "events" / f"date={last}" / "events.parquet")
    for job, work in (("score", score_daily), ("train", train_weekly)):
        with pytest.raises(BrokenContractError) as caught:
            work(pipeline_in(published), last)
        event = last_line(published)
        assert (event["job"], event["outcome"], event["as_of"]) == (job, "failed", str(last))
        report = caught.value.report
        assert event["detail"]["rejected"] == report.n_rejected == bad.height
        assert event["detail"]["events"] == report.n_accepted
        assert event["detail"]["contract"]["broken"] == report.broken
        assert rejected_metric(published) == bad.height


def test_rows_are_counted_as_they_are_written(published: Path) -> None:
    last = write_days(published / "events", 42)
    items = pl.read_parquet(published / "events" / "**" / "*.parquet")["item"].unique().sort()
    pipeline = pipeline_in(published, score={"deny": [str(i) for i in items[3:]]})
    found = score_daily(pipeline, last)
    rows = pipeline.sink.read(last).height
    assert found.n_rows == rows < found.n_users * pipeline.score.k
    event = last_line(published)
    assert event["detail"]["rows"] == rows

    class Dies(type(LOCAL)):
        """Scoring that ends after two parts."""

        def score(self, pipeline, bundle, histories, deny, rerank, writer, on_part) -> None:
            def tell(part: int, n_rows: int) -> None:
                on_part(part, n_rows)
                if part == 1:
                    raise KeyboardInterrupt

            super().score(pipeline, bundle, histories, deny, rerank, writer, tell)

    less = pipeline_in(published, score={"deny": [str(i) for i in items[4:]]})
    with pytest.raises(KeyboardInterrupt):
        score_daily(less, last, executor=Dies())
    resumed = score_daily(less, last)
    assert resumed.n_resumed == 50
    assert resumed.n_rows == less.sink.read(last).height > rows


def test_what_cannot_be_published_or_gone_back_to_is_recorded(published: Path) -> None:
    registry = Registry(published / "registry")
    (version,) = registry.versions()
    with pytest.raises(SettingsError, match="no version was published before"):
        rollback(registry.folder)
    assert (last_line(published)["job"], last_line(published)["outcome"]) == ("rollback", "failed")
    weights = next(registry.bundle_folder(version.name).glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ArtefactError):
        publish(registry.folder, version.name)
    event = registry.events()[0]
    assert (event["job"], event["outcome"]) == ("publish", "failed")
    assert event["version"] == version.name
    assert event["detail"]["kind"] == "ArtefactError"


def test_who_finds_the_registry_locked_records_that(published: Path) -> None:
    pipeline, last = pipeline_in(published), write_days(published / "events", 42)
    registry = Registry(pipeline.registry)
    jobs = {
        "train": lambda: train_weekly(pipeline, last),
        "score": lambda: score_daily(pipeline, last),
        "publish": lambda: publish(pipeline.registry),
        "rollback": lambda: rollback(pipeline.registry),
    }
    with locked(registry.folder, "train"):
        for name, job in jobs.items():
            with pytest.raises(LockedError):
                job()
            event = registry.events()[0]
            assert event == last_line(published)
            assert (event["job"], event["outcome"]) == (name, "failed")
            assert event["detail"]["busy"]
    assert registry.current() is not None


def test_users_that_filters_leave_out_and_robots_are_told_of(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path, train={"filters": {"min_user": 2, "max_user": 10}})
    rows = [("few", 1), *(("some", i) for i in range(3)), *(("bot", i) for i in range(300))]
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    said: list[str] = []
    active = _active_users(
        frame.with_columns(timestamp=day_start(FIRST)), pipeline, FIRST, said.append
    )
    assert active.user_ids.ids.to_list() == ["some"]
    assert said == ["2 active users are left out by train.filters; nothing is stored for them"]
    folder = tmp_path / "events" / f"date={FIRST}"
    folder.mkdir(parents=True)
    at = pl.datetime(FIRST.year, FIRST.month, FIRST.day, time_zone="UTC")
    frame.with_columns(timestamp=at).write_parquet(folder / "e.parquet")
    window_events(pipeline, FIRST, "score", said.append)
    assert "1 user has 99% of all events (bot); if these are robots" in said[-1]


def test_a_training_tells_of_items_in_demand_for_days_only(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path, source={"path": "news"})
    rng = np.random.default_rng(2)
    for n in range(28):
        day = FIRST + timedelta(days=n)
        folder = tmp_path / "news" / f"date={day}"
        folder.mkdir(parents=True)
        events = day_of_events(day)
        age = rng.integers(0, 6, events.height)
        items = np.maximum(n - age, 0) * 8 + rng.integers(0, 8, events.height)
        events.with_columns(item=pl.Series(items)).write_parquet(folder / "e.parquet")
    said: list[str] = []
    window_events(pipeline, FIRST + timedelta(days=27), "train", said.append)
    assert "what is popular changes" in said[-1]
    assert said[-1].endswith("try fewer train.window_days")
    said.clear()
    window_events(pipeline, FIRST + timedelta(days=27), "score", said.append)
    assert "what is popular changes" not in "".join(said)


def test_what_the_gates_refused_since_is_told(published: Path) -> None:
    registry = Registry(published / "registry")
    (current,) = registry.versions()
    assert refused_since(registry.folder, current) == []
    later = registry.folder / "versions" / "2026-12-01-001"
    later.mkdir()
    record = {**current.record, "name": later.name, "as_of": "2026-12-01", "passed": False}
    (later / "version.json").write_text(json.dumps(record))
    assert refused_since(registry.folder, current) == [later.name]
    assert publish(registry.folder).name == current.name
