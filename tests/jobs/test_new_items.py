"""Items that came since the training are recommended and served from the next day on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import polars as pl

from nearfar.bundle.folder import load_bundle
from nearfar.jobs.pipeline import make_pipeline
from nearfar.jobs.registry import Registry
from nearfar.jobs.run_due import run_due
from nearfar.web.loading import CURRENT, Loader
from nearfar.web.metrics import Metrics
from nearfar.web.served_models import ServedModels
from nearfar.web.settings import ServiceSettings
from tests.jobs.cases import SETTINGS, write_days

NEW = {555: "left", 1555: "right", 9999: "neither"}


def write_items(path: Path, known: list[int], new: dict[int, str]) -> None:
    side = {i: "left" if i < 1000 else "right" for i in known} | new
    rows = {"item": list(side), "title": [f"Thing {i}" for i in side], "shelf": list(side.values())}
    pl.DataFrame(rows).write_csv(path)


def test_new_items_are_scored_and_served_until_they_are_gone(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "items.csv"
    items = {"path": "items.csv", "features": ["shelf"], "exposure": 5.0}
    pipeline = make_pipeline({**SETTINGS, "items": items}, tmp_path)
    write_items(path, [*range(12), *range(1000, 1012)], {})
    version = str(run_due(pipeline, last).published)
    models = ServedModels()
    loader = Loader(ServiceSettings(registry=pipeline.registry), models, Metrics())
    loader.load_all()
    known = models.get(CURRENT).scorer.items.ids.to_list()
    before = len(known)

    write_items(path, known, NEW)
    said: list[str] = []
    scored = run_due(pipeline, last, say=said.append).scored
    assert not scored.already
    told = [line for line in said if "came since the training" in line]
    assert told == [
        "2 items that came since the training are added by their features; 1 share no feature "
        "with known items"
    ]
    rows = pipeline.sink.read(last)
    assert {"555", "1555"} & set(rows["item"].cast(pl.String))
    assert "9999" not in set(rows["item"].cast(pl.String))
    asyncio.run(loader._check_registry())
    served = models.get(CURRENT)
    assert len(served.scorer.items) == before + 2
    assert served.catalogue.item(before)["title"] == "Thing 555"
    assert served.scorer.version == version
    assert load_bundle(pipeline.registry).n_items == before + 2
    assert Registry(pipeline.registry).bundle(version).n_items == before, "the next training's"

    said.clear()
    assert run_due(pipeline, last, say=said.append).scored.already
    assert not [line for line in said if "came since" in line], "the file has not changed"

    path.write_text(path.read_text().replace("shelf", "wall"))
    result = run_due(pipeline, last, say=said.append)
    assert not result.scored.already
    assert "no column 'shelf' for items.features" in str(result.failure), "the run fails"
    asyncio.run(loader._check_registry())
    assert len(models.get(CURRENT).scorer.items) == before
    assert not loader.troubles


def test_items_without_features_take_the_new_items_away(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    known = [*range(12), *range(1000, 1012)]
    write_items(tmp_path / "items.csv", known, NEW)
    with_features = {"path": "items.csv", "features": ["shelf"]}
    pipeline = make_pipeline({**SETTINGS, "items": with_features}, tmp_path)
    run_due(pipeline, last)
    n_extended = load_bundle(pipeline.registry).n_items
    without = make_pipeline({**SETTINGS, "items": {"path": "items.csv"}}, tmp_path)
    run_due(without, last)
    assert load_bundle(pipeline.registry).n_items < n_extended
