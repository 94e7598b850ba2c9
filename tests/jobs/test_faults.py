"""Jobs that fail, are killed or lose power at any write, and are run again: as if nothing was."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nearfar.bundle.folder import load_bundle
from nearfar.core.files import write_json
from nearfar.jobs.item_details import ItemDetails, refresh_items
from nearfar.jobs.pipeline import Pipeline
from nearfar.jobs.pipeline_sections import Retention
from nearfar.jobs.publish import publish, rollback
from nearfar.jobs.registry import Registry
from nearfar.jobs.retention import remove_day
from nearfar.jobs.run_due import training_due
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly
from tests.faults import Faults, Killed, Mode
from tests.jobs.cases import SETTINGS, pipeline_in, write_days
from tests.store.conftest import postgres as postgres

KINDS = ["parquet", "sqlite", "postgres"]
MODES: list[Mode] = ["fail", "kill", "power"]
TABLE = "faults"
STRIDE = 1 if os.environ.get("NEARFAR_EVERY_WRITE") else 11
"""The suite spoils every eleventh write; `make test-faults` spoils each."""


class Shop:
    """A shop with two versions, the older one published; copied for each try."""

    def __init__(self, root: Path, kind: str, url: str | None) -> None:
        self.root, self.kind, self.url = root, kind, url
        self.day = write_days(root / "events", 35)
        self.week_before = self.day - timedelta(days=7)
        home = root / "base"
        pipeline = self.pipeline(home)
        for day in (self.week_before, self.day):
            train_weekly(pipeline, day)
        first, second = [v.name for v in Registry(pipeline.registry).versions()]
        self.versions = first, second
        publish(pipeline.registry, first, force=True)

    def pipeline(self, home: Path, **over: Any) -> Pipeline:
        sink = {
            "parquet": {"kind": "parquet", "path": "recommendations"},
            "sqlite": {"kind": "sql", "url": "sqlite:///r.db"},
            "postgres": {"kind": "sql", "url": self.url, "table": TABLE},
        }[self.kind]
        own = {**SETTINGS["sink"], **sink}
        if self.kind != "parquet":
            own.pop("path")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(SETTINGS, "sink", own)
            patch.setitem(SETTINGS, "algorithm", over.pop("algorithm", {"kind": "ease"}))
            return pipeline_in(
                home, source={"path": str(self.root / "events")}, **over,
                gates={"max_coverage_drop": 1.0},
                score={"part_users": 40},
            )  # fmt: skip

    @contextlib.contextmanager
    def copy(self):
        """A folder as the base is, and an empty sink in PostgreSQL."""
        home = self.root / "try"
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(self.root / "base", home, symlinks=True)
        if self.url is not None:
            sink = self.pipeline(home).sink
            for day in sink.dates():
                sink.delete(day)
            for day in (self.week_before, self.day):  # parts that were never published
                sink.delete(day)
        yield home


def state(pipeline: Pipeline) -> dict[str, Any]:
    """All that matters afterwards."""
    registry, sink = Registry(pipeline.registry), pipeline.sink
    pointer = registry.pointer()
    return {
        "current": pointer.get("version"),
        "before": pointer.get("before"),
        "versions": [
            (v.name, v.passed, hashlib.sha256(
                (registry.bundle_folder(v.name) / "model.safetensors").read_bytes()).hexdigest())
            for v in registry.versions()
        ],
        "days": {
            day: sink.read(day).select(pl.exclude("scored_at")).to_dicts() for day in sink.dates()
        },
        # What a registered day leaves behind is removed by the next training.
        "unfinished": sorted({*registry.unfinished()} - {v.as_of for v in registry.versions()}),
    }  # fmt: skip


def at_every_write(
    shop: Shop,
    prepare: Callable[[Pipeline], Any],
    act: Callable[[Pipeline], Any],
    again: Callable[[Pipeline], Any],
    mode: Mode,
    steps: range | None,
    **over: Any,
) -> int:
    """Spoil writes of an act one by one, go on as an operator does, compare; return how many."""
    with shop.copy() as home:
        pipeline = shop.pipeline(home, **over)
        prepare(pipeline)
        act(pipeline)
        again(pipeline)
        expected = state(pipeline)
    for n in steps or itertools.count(1, STRIDE):
        with shop.copy() as home:
            pipeline = shop.pipeline(home, **over)
            prepare(pipeline)
            with Faults(n, mode, home) as faults, contextlib.suppress(Killed, Exception):
                act(pipeline)
            again(pipeline)
            assert state(pipeline) == expected, (n, mode)
            if not faults.hit:
                return n - 1
    return len(steps or ())


@pytest.fixture(scope="module", params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """One per kind of sink: tests work on copies."""
    url = request.getfixturevalue("postgres").url if request.param == "postgres" else None
    return Shop(tmp_path_factory.mktemp(request.param), request.param, url)


@pytest.fixture(scope="module")
def parquet_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"), "parquet", None)


@pytest.fixture(scope="module")
def later_shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A week of events has come since."""
    folder = tmp_path_factory.mktemp("later")
    shop = Shop(folder, "parquet", None)
    write_days(folder / "events", 42)
    return shop


def score(pipeline: Pipeline, day: date) -> None:
    score_daily(pipeline, day)


def scored_after_rollback(shop: Shop, mode: Mode, steps: range | None) -> int:
    """A day is scored by the first version; by the second it is broken off; back to the first."""
    first, second = shop.versions

    def prepare(pipeline: Pipeline) -> None:
        score(pipeline, shop.day)
        publish(pipeline.registry, second, force=True)

    def again(pipeline: Pipeline) -> None:
        rollback(pipeline.registry)
        score(pipeline, shop.day)
        assert pipeline.sink.holds(shop.day, first)

    return at_every_write(
        shop, prepare, lambda pipeline: score(pipeline, shop.day), again, mode, steps
    )


def test_a_bad_versions_rows_do_not_stay_after_a_rollback(shop: Shop) -> None:
    # The kind of the last writes: after the sink has published, before the mark.
    with shop.copy() as home:
        pipeline = shop.pipeline(home)
        score(pipeline, shop.day)
        publish(pipeline.registry, shop.versions[1], force=True)
        with Faults(0, "kill", home) as faults:
            score(pipeline, shop.day)
        total = faults.count
    assert scored_after_rollback(shop, "kill", range(total - 9, total + 1)) == 10


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_scoring_at_every_write_then_a_rollback(shop: Shop, mode: Mode) -> None:
    assert scored_after_rollback(shop, mode, None) > 15


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_scoring_at_every_write(shop: Shop, mode: Mode) -> None:
    def act(pipeline: Pipeline) -> None:
        score(pipeline, shop.day)

    assert at_every_write(shop, lambda _: None, act, act, mode, None) > 15


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_publishing_and_rolling_back_at_every_write(parquet_shop: Shop, mode: Mode) -> None:
    shop = parquet_shop
    first, second = shop.versions

    def to(version: str, how: Callable[[Pipeline], Any]) -> Callable[[Pipeline], None]:
        def act(pipeline: Pipeline) -> None:
            if Registry(pipeline.registry).current() != version:
                how(pipeline)

        return act

    forward = to(second, lambda pipeline: publish(pipeline.registry, second, force=True))
    back = to(first, lambda pipeline: rollback(pipeline.registry))
    assert at_every_write(shop, lambda _: None, forward, forward, mode, None) > 3
    assert at_every_write(shop, forward, back, back, mode, None) > 3


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_training_at_every_write(later_shop: Shop, mode: Mode) -> None:
    shop = later_shop
    algorithm = {**SETTINGS["algorithm"], "epochs": 2}
    day = shop.day + timedelta(days=7)

    def act(pipeline: Pipeline) -> None:
        if training_due(pipeline, day):
            train_weekly(pipeline, day)

    over = {"algorithm": algorithm, "train": {"checkpoint_seconds": 0}}
    assert at_every_write(shop, lambda _: None, act, act, mode, None, **over) > 15


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_removing_a_day_at_every_write(shop: Shop, mode: Mode) -> None:
    def prepare(pipeline: Pipeline) -> None:
        for day in (shop.week_before, shop.day):
            score(pipeline, day)

    def act(pipeline: Pipeline) -> None:
        if shop.day in pipeline.sink.dates():
            remove_day(pipeline, shop.day)

    def again(pipeline: Pipeline) -> None:
        act(pipeline)
        assert pipeline.sink.dates() == [shop.week_before]
        score(pipeline, shop.day)  # not taken for published already
        act(pipeline)

    assert at_every_write(shop, prepare, act, again, mode, None) > 3


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_retention_at_every_write(parquet_shop: Shop, mode: Mode) -> None:
    shop = parquet_shop
    first, second = shop.versions

    def prepare(pipeline: Pipeline) -> None:
        score(pipeline, shop.week_before)
        pointer = {"version": second, "before": [first, second], "moved": "2026-01-01T00:00:00"}
        write_json(pipeline.registry / "current.json", pointer)

    def act(pipeline: Pipeline) -> None:
        score(replace(pipeline, retention=Retention(days=1, versions=1)), shop.day)

    def again(pipeline: Pipeline) -> None:
        act(pipeline)
        assert [v.name for v in Registry(pipeline.registry).versions()] == [second]
        assert pipeline.sink.dates() == [shop.day]

    assert at_every_write(shop, prepare, act, again, mode, None) > 15


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_new_titles_at_every_write(parquet_shop: Shop, tmp_path: Path, mode: Mode) -> None:
    shop = parquet_shop
    path = tmp_path / "items.csv"

    def prepare(pipeline: Pipeline) -> None:
        path.write_text("item,title\n0,Old\n")
        refresh_items(ItemDetails(str(path)), pipeline.registry, print)
        path.write_text("item,title\n0,New\n")

    def act(pipeline: Pipeline) -> None:
        refresh_items(ItemDetails(str(path)), pipeline.registry, print)

    def again(pipeline: Pipeline) -> None:
        titles = load_bundle(pipeline.registry).items.titles  # never damaged
        assert titles is not None
        assert set(titles) - {None} <= {"Old", "New"}
        act(pipeline)
        titles = load_bundle(pipeline.registry).items.titles
        assert titles is not None
        assert set(titles) - {None} == {"New"}

    assert at_every_write(shop, prepare, act, again, mode, range(1, 6)) == 5
