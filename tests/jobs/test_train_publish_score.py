"""A pipeline's life: train, publish, score, again, go back; and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from nearfar.core.errors import DataError, SettingsError
from nearfar.jobs.job import LockedError, locked
from nearfar.jobs.publish import RefusedError, publish, rollback
from nearfar.jobs.registry import Registry
from nearfar.jobs.run_due import run_due, training_due
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.status import status, write_prometheus
from nearfar.jobs.train_weekly import train_weekly
from nearfar.train.callback import Callback
from nearfar.train.history import StepReport
from tests.jobs.cases import pipeline_in, write_day, write_days

WITHOUT_CLOCK = pl.exclude("scored_at")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_days(tmp_path / "events", 42)
    return tmp_path


@pytest.fixture(scope="module")
def grown(tmp_path_factory) -> tuple[Path, dict]:
    """Two weeks' versions, both published, and a day scored by each."""
    folder = tmp_path_factory.mktemp("grown")
    last = write_days(folder / "events", 42)
    pipeline = pipeline_in(folder)
    found = {}
    for name, day in (("first", last - timedelta(days=7)), ("second", last)):
        trained = train_weekly(pipeline, day)
        publish(pipeline.registry, trained.version.name)
        found[name] = trained, score_daily(pipeline, day), day
    return folder, found


def test_versions_have_a_lineage(grown) -> None:
    folder, found = grown
    first, second = found["first"][0], found["second"][0]
    assert first.passed, [v for v in first.verdicts if not v.passed]
    assert {v.gate for v in first.verdicts} == {"min_users", "min_over_popularity", "max_collapsed"}
    assert {v.gate for v in second.verdicts} == {
        "min_users", "min_over_popularity", "max_collapsed", "max_ndcg_drop", "max_coverage_drop",
        "max_group_drop", "max_catalogue_change", "max_activity_change",
    }  # fmt: skip
    record = second.version.record
    assert record["lineage"]["champion"] == first.version.name
    assert record["metrics"]["candidate"]["NDCG@100"] > record["metrics"]["popularity"]["NDCG@100"]
    assert record["metrics"]["champion"]["NDCG@100"] > 0
    registry = Registry(folder / "registry")
    assert [v.name for v in registry.versions()] == [first.version.name, second.version.name]
    assert registry.current() == second.version.name
    assert registry.bundle(second.version.name).metadata.data["fingerprint"]
    lines = [json.loads(x) for x in (folder / "registry" / "events.jsonl").read_text().splitlines()]
    assert [(e["job"], e["outcome"]) for e in lines] == [
        ("train", "passed"), ("publish", "done"), ("score", "done")
    ] * 2  # fmt: skip
    assert [e["job"] for e in registry.events()] == [e["job"] for e in reversed(lines)]


def test_active_users_get_k_unseen_items(grown) -> None:
    folder, found = grown
    _, scored, day = found["second"]
    sink = pipeline_in(folder).sink
    rows = sink.read(day)
    assert rows["user"].n_unique() == scored.n_users
    assert rows.height == scored.n_rows == 5 * scored.n_users
    assert rows["model_version"].unique().to_list() == [scored.version]
    events = pl.read_parquet(folder / "events" / "**" / "*.parquet")
    recent = events.filter(pl.col("timestamp").dt.date() > day - timedelta(days=7))
    assert set(rows["user"]) == set(recent["user"])
    window = events.filter(pl.col("timestamp").dt.date() > day - timedelta(days=28))
    seen = rows.with_columns(pl.col("item").cast(pl.Int64)).join(window, on=["user", "item"])
    assert seen.height == 0
    assert (
        rows.group_by("user").agg(pl.col("rank").sort())["rank"].to_list()
        == [[1, 2, 3, 4, 5]] * scored.n_users
    )


def test_the_same_day_twice_changes_nothing(grown) -> None:
    folder, found = grown
    _, _, day = found["second"]
    pipeline = pipeline_in(folder)
    before = pipeline.sink.read(day)
    assert score_daily(pipeline, day).already
    assert pipeline.sink.read(day).equals(before)
    again = score_daily(pipeline, day, again=True)
    assert not again.already
    assert pipeline.sink.read(day).select(WITHOUT_CLOCK).equals(before.select(WITHOUT_CLOCK))


def test_a_training_is_the_same_twice(grown, tmp_path: Path) -> None:
    folder, found = grown
    _, _, day = found["first"]
    (tmp_path / "events").symlink_to(folder / "events")
    pipeline = pipeline_in(tmp_path)
    again = train_weekly(pipeline, day)
    assert again.version.name == found["first"][0].version.name
    assert again.version.record["metrics"] == found["first"][0].version.record["metrics"]


def test_rollback_goes_back_once_for_each_publishing(shop: Path) -> None:
    pipeline, last = pipeline_in(shop), write_days(shop / "events", 42)
    names = [train_weekly(pipeline, last).version.name for _ in range(2)]
    with pytest.raises(SettingsError, match="no version was published before"):
        rollback(pipeline.registry)
    for name in names:
        publish(pipeline.registry, name, force=True)
    assert rollback(pipeline.registry).name == names[0]
    assert Registry(pipeline.registry).current() == names[0]
    with pytest.raises(SettingsError, match="no version was published before"):
        rollback(pipeline.registry)


def test_a_bad_candidate_is_refused_and_the_champion_stays(shop: Path) -> None:
    pipeline, last = pipeline_in(shop), write_days(shop / "events", 42)
    good = train_weekly(pipeline, last - timedelta(days=7))
    publish(pipeline.registry)
    bad = pipeline_in(shop, algorithm={"epochs": 1, "learning_rate": 1e-7},
                      gates={"max_ndcg_drop": 0.02})  # fmt: skip
    refused = train_weekly(bad, last)
    assert not refused.passed
    assert "max_ndcg_drop" in {v.gate for v in refused.verdicts if not v.passed}
    with pytest.raises(RefusedError, match="did not pass"):
        publish(pipeline.registry, refused.version.name)
    assert publish(pipeline.registry).name == good.version.name
    assert Registry(pipeline.registry).current() == good.version.name
    write_prometheus(pipeline.registry, shop / "x.prom")
    told = (shop / "x.prom").read_text()
    assert 'nearfar_last_run_failed{job="train"} 1.0' in told
    assert "# TYPE nearfar_gates_failed gauge" in told
    assert 'nearfar_last_success_timestamp_seconds{job="score"} 0.0' in told
    assert "nearfar_current_version_timestamp_seconds 1" in told


def test_a_poisoned_day_stops_the_job_before_anything(shop: Path) -> None:
    pipeline, last = pipeline_in(shop), write_days(shop / "events", 42)
    train_weekly(pipeline, last - timedelta(days=1))
    publish(pipeline.registry)
    write_day(shop / "events", last, per_day=2000)
    with pytest.raises(DataError, match="were expected from a median"):
        score_daily(pipeline, last)
    assert pipeline.sink.dates() == []
    assert status(pipeline.registry)["last"]["score"]["outcome"] == "failed"
    write_day(shop / "events", last)
    assert score_daily(pipeline, last).n_users > 0


@pytest.mark.slow
def test_a_warm_start_knows_the_old_items_and_needs_fewer_epochs(shop: Path) -> None:
    last = write_days(shop / "events", 42)
    pipeline = pipeline_in(shop, train={"warm_start": True})
    assert not train_weekly(pipeline, last - timedelta(days=7)).warm
    publish(pipeline.registry)
    said: list[str] = []
    warm = train_weekly(pipeline, last, say=said.append)
    assert warm.warm
    assert any("items are known to it" in line for line in said)
    first = Registry(pipeline.registry).bundle(warm.version.name).metadata.training[0]
    cold = train_weekly(pipeline_in(shop), last)
    before = Registry(pipeline.registry).bundle(cold.version.name).metadata.training[0]
    assert first["terms"]["reconstruction"] < before["terms"]["reconstruction"]
    other = pipeline_in(shop, train={"warm_start": True}, algorithm={"n_latent": 5})
    assert not train_weekly(other, last).warm


@pytest.mark.slow
def test_run_does_what_is_due(shop: Path) -> None:
    pipeline, last = pipeline_in(shop), write_days(shop / "events", 42)
    day = last - timedelta(days=8)
    assert training_due(pipeline, day)
    first = run_due(pipeline, day)
    assert first.trained is not None
    assert first.published == first.trained.version.name
    for later, trains in ((day + timedelta(days=1), False), (day + timedelta(days=7), True)):
        found = run_due(pipeline, later)
        assert (found.trained is not None) == trains
        assert not found.scored.already
    assert len(pipeline.sink.dates()) == 3


@pytest.mark.slow
def test_a_failed_training_does_not_keep_the_day_from_being_scored(shop: Path, monkeypatch) -> None:
    pipeline, last = pipeline_in(shop), write_days(shop / "events", 42)
    run_due(pipeline, last - timedelta(days=7))

    def fail(*_: object, **__: object) -> None:
        raise DataError("too few events")

    monkeypatch.setattr("nearfar.jobs.train_weekly.split_window", fail)
    found = run_due(pipeline, last)
    assert "too few events" in str(found.failure)
    assert found.trained is None
    assert found.scored.n_users > 0
    assert last in pipeline.sink.dates()


def test_denied_items_are_not_recommended(shop: Path) -> None:
    last = write_days(shop / "events", 42)
    (shop / "deny.txt").write_text("\ufeff1000\n\n1\n99999\n")
    pipeline = pipeline_in(shop, score={"deny": ["0"], "deny_file": "deny.txt"})
    said: list[str] = []
    run_due(pipeline, last, say=said.append)
    assert any("1 of 4 denied ids are not items of" in line for line in said)
    assert not set(pipeline.sink.read(last)["item"]) & {"0", "1", "1000"}
    with pytest.raises(SettingsError, match="is not an integer"):
        score_daily(pipeline_in(shop, score={"deny": ["x"]}), last)


def test_a_missing_file_of_denied_items_is_told_of_before_any_training(shop: Path) -> None:
    last = write_days(shop / "events", 42)
    pipeline = pipeline_in(shop, score={"deny_file": "none.txt"})
    with pytest.raises(SettingsError, match=r"none\.txt cannot be read"):
        run_due(pipeline, last)
    assert Registry(pipeline.registry).versions() == []


def test_nothing_is_published_yet(shop: Path) -> None:
    pipeline, last = pipeline_in(shop), write_days(shop / "events", 42)
    with pytest.raises(SettingsError, match="train and publish"):
        score_daily(pipeline, last)
    with pytest.raises(SettingsError, match="train first"):
        publish(pipeline.registry)
    assert status(pipeline.registry)["current"] is None


def test_one_job_at_a_time_and_a_dead_owner_holds_nothing(tmp_path: Path) -> None:
    with locked(tmp_path, "train"), pytest.raises(LockedError, match=f"process {os.getpid()}"):  # noqa: SIM117
        with locked(tmp_path, "score"):
            pass
    with locked(tmp_path, "score"):
        pass
    code = (
        "import sys, time; from pathlib import Path; from nearfar.jobs.job import locked\n"
        "with locked(Path(sys.argv[1]), 'train'):\n    print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match=r"train \(process"), locked(tmp_path, "score"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with locked(tmp_path, "score"):
        pass


KILLED = """
import os, signal, sys
from datetime import date
from pathlib import Path
from nearfar.train.callback import Callback
from tests.jobs.cases import pipeline_in
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly

folder, job, day = Path(sys.argv[1]), sys.argv[2], date.fromisoformat(sys.argv[3])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
class Dies(Callback):
    def step(self, report):
        if report.epoch == 5:
            die()
if job == "train":
    pipeline = pipeline_in(folder, train={"checkpoint_seconds": 0})
    train_weekly(pipeline, day, callbacks=(Dies(),))
else:
    score_daily(pipeline_in(folder), day, on_users=lambda done, total: done >= 50 and die())
"""


@dataclass
class Epochs(Callback):
    """Keeps the epochs of all steps."""

    epochs: list[int]

    def step(self, report: StepReport, /) -> None:
        self.epochs.append(report.epoch)


@pytest.mark.slow
def test_killed_jobs_are_taken_up_without_loss_or_repeat(grown, tmp_path: Path) -> None:
    folder, found = grown
    (tmp_path / "events").symlink_to(folder / "events")
    pipeline = pipeline_in(tmp_path)
    trained, _, day = found["first"]
    root = Path(__file__).parents[2]
    for job in ("train", "score"):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), job, str(day)], cwd=root,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        if job == "train":
            assert Registry(pipeline.registry).versions() == []
            assert status(pipeline.registry)["unfinished"] == [str(day)]
            seen, said = Epochs([]), []
            version = train_weekly(pipeline, day, say=said.append, callbacks=(seen,)).version
            assert seen.epochs[0] == 5, "it did not go on from the checkpoint"
            assert any("going on with the training" in line for line in said)
            assert version.record["metrics"] == trained.version.record["metrics"]
            assert status(pipeline.registry)["unfinished"] == []
            publish(pipeline.registry)
        else:
            assert pipeline.sink.dates() == []
            scored = score_daily(pipeline, day)
            assert scored.n_resumed == 50
    ours = pipeline.sink.read(day).select(WITHOUT_CLOCK)
    theirs = pipeline_in(folder).sink.read(day).select(WITHOUT_CLOCK)
    assert ours.equals(theirs)
