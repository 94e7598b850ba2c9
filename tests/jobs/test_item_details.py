"""Titles of items, from their file to the registry's versions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from nearfar.bundle.folder import load_bundle
from nearfar.core.errors import DataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.jobs.item_details import ItemDetails, refresh_items
from nearfar.jobs.pipeline import make_pipeline
from nearfar.jobs.registry import Registry
from nearfar.jobs.run_due import run_due
from nearfar.jobs.train_weekly import train_weekly
from nearfar.web.loading import CURRENT, Loader
from nearfar.web.metrics import Metrics
from nearfar.web.served_models import ServedModels
from nearfar.web.settings import ServiceSettings
from tests.jobs.cases import SETTINGS, pipeline_in, write_days


def with_items(folder: Path, **items: str):
    return make_pipeline({**SETTINGS, "items": items}, folder)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv"])
def test_versions_have_the_titles_of_their_items(tmp_path: Path, suffix: str, monkeypatch) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    known = [*range(6), *range(1000, 1006)]
    table = pl.DataFrame(
        {"sku": [*known, known[0], 77_777], "name": [f"Thing {i}" for i in known] + ["x", "y"],
         "price": 3}
    )  # fmt: skip
    path = tmp_path / f"items.{suffix}"
    if suffix == "parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path, separator="," if suffix == "csv" else "\t")
    pipeline = with_items(tmp_path, path=path.name, item="sku", title="name")
    said: list[str] = []
    version = train_weekly(pipeline, last, say=said.append).version
    bundle = Registry(pipeline.registry).bundle(version.name)
    titles = bundle.items.titles
    assert titles is not None
    expected = [f"Thing {i}" if i in known else None for i in bundle.items.ids]
    assert titles.to_list() == expected
    assert bundle.items.details.columns == ["title"]
    assert bundle.titles.find("thing 3") == bundle.items.index([3]).tolist()
    told = f"{path}: titles for {len(known)} of {len(expected)} items"
    assert f"{told}; 1 ids have several titles there; the first is used" in said


def test_columns_of_items_are_recognised_and_features_keep_their_names(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text(
        "Artikelnummer;Bezeichnung;Warengruppe;Preis\n00/1;Hammer;Tools;9,50\n00/2;Saw;Tools;n/a\n"
        "00/3;Lamp;Light;120,00\n"
    )
    details = ItemDetails(str(tmp_path / "items.csv"), features=("Warengruppe", "Preis"))
    assert details.read().rows()[0] == ("00/1", "Hammer", "Tools")
    features = details.read_features()
    assert [(b.column, b.kind) for b in features.blocks] == [
        ("Warengruppe", "tags"), ("Preis", "number"),
    ]  # fmt: skip
    assert features.blocks[1].values.toarray().ravel().tolist() == [9.5, 0, 120], "n/a is missing"
    ids, text = details.apply_to(Vocabulary(["1", "2"]), details.read())
    assert ids.titles is not None
    assert text.endswith(
        "titles for 0 of 2 items; its ids look like '00/1', those of the events like '1'"
    )


def test_an_items_file_that_is_missing_is_told_of_before_any_training(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        train_weekly(with_items(tmp_path, path="none.csv"), last)
    (tmp_path / "items.csv").write_text("thing,title\n1,One\n")
    with pytest.raises(DataError, match=r"no column known as the item; it has 'thing'"):
        train_weekly(with_items(tmp_path, path="items.csv"), last)
    with pytest.raises(DataError, match=r"has no column 'item' for the item; .*it has 'thing'"):
        train_weekly(with_items(tmp_path, path="items.csv", item="item"), last)
    for wrong in ({"path": "x", "title": "a", "item": "a"}, {"path": "x", "colour": "y"}):
        with pytest.raises(SettingsError):
            with_items(tmp_path, **wrong)
    assert pipeline_in(tmp_path).items is None
    with pytest.raises(SettingsError, match="path"):
        with_items(tmp_path, item="sku")


def test_new_titles_reach_a_published_version_without_a_training(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "items.csv"
    path.write_text("item,title\n0,Old\n1,Stays\n")
    pipeline = with_items(tmp_path, path=path.name)
    version = run_due(pipeline, last).published
    path.write_text("item,title\n0,New\n1000,Came later\n")
    said: list[str] = []
    found = run_due(pipeline, last, say=said.append)
    assert found.trained is None
    assert f"titles of 2 items are taken from {path}" in said
    bundle = load_bundle(tmp_path / "registry")  # the current version, by the registry's folder
    titles = dict(zip(bundle.items.ids, bundle.items.details["title"], strict=True))
    assert (titles[0], titles[1], titles[1000]) == ("New", "Stays", "Came later")
    assert load_bundle(tmp_path / "registry" / "versions" / str(version) / "bundle").items == (
        bundle.items
    )
    said.clear()
    run_due(pipeline, last, say=said.append)
    assert not [line for line in said if "titles" in line], "nothing has changed"
    run_due(make_pipeline(SETTINGS, tmp_path), last)
    titles = load_bundle(tmp_path / "registry").items.details["title"]
    assert titles[int(bundle.items.index([0])[0])] == "Old", "as at the training"


def test_rows_of_items_that_are_left_out_are_said_once(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item,title\n1,One\n,Nameless\n2,Two\n")
    for expected in (True, False):
        said: list[str] = []
        refresh_items(ItemDetails(str(path)), tmp_path / "registry", said.append)
        assert any("left out: 1 of 3 rows" in line for line in said) is expected


def test_every_reader_of_the_items_file_says_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item,title,price\n1,One,2\n,Nameless,3\n2,Two,4\n2,Second,4\n")
    said: list[str] = []
    details = ItemDetails(str(path), features=("price",))
    details.read_and_tell(said.append)
    assert said[0].startswith(f"{path}: left out: 1 of 4 rows (25.0%): the item is missing")
    assert said[1] == f"{path}: 1 rows repeat an item; the first row of each counts"
    assert details.read_features().remarks[0].startswith("left out: 1 of 4 rows")


def test_a_training_says_what_of_the_items_file_is_left_out(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    (tmp_path / "items.csv").write_text("item,title\n1,One\n,Nameless\n")
    settings = {**SETTINGS, "algorithm": {"kind": "ease"}, "items": {"path": "items.csv"}}
    said: list[str] = []
    train_weekly(make_pipeline(settings, tmp_path), last, say=said.append)
    assert any("items.csv: left out: 1 of 2 rows" in line for line in said)


def test_an_items_file_that_broke_is_told_at_every_run_and_the_day_is_scored(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "items.csv"
    path.write_text("item,title\n0,Old\n")
    pipeline = with_items(tmp_path, path=path.name)
    run_due(pipeline, last - timedelta(days=1))
    path.write_text("thing,title\n0,Old\n")
    found = run_due(pipeline, last)
    assert "no column known as the item" in str(found.failure)
    assert 'in [items], as item = "sku"' in str(found.failure)
    assert "--item-column" not in str(found.failure)
    assert found.scored.as_of == str(last)
    path.unlink()
    missing = str(run_due(pipeline, last).failure)
    assert missing.startswith("[items]: ")
    assert "does not exist" in missing


def test_the_service_follows_new_titles(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    (tmp_path / "items.csv").write_text("item,title\n0,Old\n")
    pipeline = with_items(tmp_path, path="items.csv")
    run_due(pipeline, last)
    models = ServedModels()
    loader = Loader(ServiceSettings(registry=pipeline.registry), models, Metrics())
    loader.load_all()

    def title() -> str | None:
        served = models.get(CURRENT)
        return served.catalogue.item(int(served.scorer.items.index([0])[0]))["title"]

    assert title() == "Old"
    (tmp_path / "items.csv").write_text("item,title\n0,New\n")
    run_due(pipeline, last)
    asyncio.run(loader._check_registry())
    assert title() == "New"
    assert not loader.troubles
