"""A training that was stopped is taken up where it is the same, and begun anew where not."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.publish import publish
from nearfar.jobs.registry import Registry
from nearfar.jobs.train_weekly import train_weekly
from nearfar.train.callback import Callback
from nearfar.train.checkpoint import NAME
from nearfar.train.history import StepReport
from tests.jobs.cases import pipeline_in, write_day, write_days


class Stops(Callback):
    """Stops a training in its fourth epoch."""

    def step(self, report: StepReport, /) -> None:
        if report.epoch == 3:
            raise KeyboardInterrupt


class Watches(Callback):
    def __init__(self) -> None:
        self.first: int | None = None

    def step(self, report: StepReport, /) -> None:
        self.first = report.epoch if self.first is None else self.first


def stopped(folder: Path, day: date, **train: Any) -> Pipeline:
    pipeline = pipeline_in(folder, train={"checkpoint_seconds": 0, **train})
    with pytest.raises(KeyboardInterrupt):
        train_weekly(pipeline, day, callbacks=(Stops(),))
    assert (Registry(pipeline.registry).unfinished_folder(day) / NAME).is_file()
    return pipeline


def retried(pipeline: Pipeline, day: date) -> tuple[int | None, str]:
    """The first epoch of another try, and what was said."""
    watch, said = Watches(), []
    train_weekly(pipeline, day, say=said.append, callbacks=(watch,))
    return watch.first, "\n".join(said)


def test_the_same_training_goes_on(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    first, said = retried(stopped(tmp_path, last), last)
    assert first == 3
    assert "going on with" in said


@pytest.mark.parametrize("change", ["setting", "seed", "late events", "not known"])
def test_another_training_starts_anew(tmp_path: Path, change: str) -> None:
    last = write_days(tmp_path / "events", 42)
    pipeline = stopped(tmp_path, last)
    folder = Registry(pipeline.registry).unfinished_folder(last)
    if change == "setting":
        pipeline = pipeline_in(tmp_path, algorithm={"beta": {"kind": "constant", "value": 0.2}})
    if change == "seed":
        pipeline = pipeline_in(tmp_path, train={"seed": 3})
    if change == "late events":
        write_day(tmp_path / "events", last, per_day=110)
    if change == "not known":
        (folder / "training.json").unlink()
        (folder / NAME).write_bytes(b"of an earlier nearfar")
    first, said = retried(pipeline, last)
    assert first == 0
    assert "starting anew" in said
    reasons = {
        "setting": "settings", "seed": "seed", "late events": "train", "not known": "identified",
    }  # fmt: skip
    assert reasons[change] in said
    assert not folder.exists()


def test_another_champion_to_start_from_starts_anew(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    plain = pipeline_in(tmp_path)
    names = [train_weekly(plain, last - timedelta(days=n)).version.name for n in (9, 8)]
    publish(plain.registry, names[0], force=True)
    warm = stopped(tmp_path, last, warm_start=True)
    publish(plain.registry, names[1], force=True)
    first, said = retried(warm, last)
    assert first == 0
    assert "warm_from" in said
    warm = stopped(tmp_path, last, warm_start=True)
    assert retried(warm, last)[0] == 3, "the same champion"


def test_a_registered_version_ends_the_unfinished_ones_before_it(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    days = [last - timedelta(days=n) for n in (2, 1, 0)]
    for day in days:
        stopped(tmp_path, day)
    registry = Registry(pipeline_in(tmp_path).registry)
    assert registry.unfinished() == [str(day) for day in days]
    train_weekly(pipeline_in(tmp_path), days[1])
    assert registry.unfinished() == [str(last)]
