"""Titles of items, from their file to the registry's versions."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from nearfar.core.errors import DataError, SettingsError
from nearfar.jobs.pipeline import make_pipeline
from nearfar.jobs.registry import Registry
from nearfar.jobs.train_weekly import train_weekly
from tests.jobs.cases import SETTINGS, pipeline_in, write_days


def with_items(folder: Path, **items: str):
    return make_pipeline({**SETTINGS, "items": items}, folder)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "tsv"])
def test_versions_have_the_titles_of_their_items(tmp_path: Path, suffix: str) -> None:
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
    assert f"{len(known)} of {len(expected)} items have a title" in said


def test_an_items_file_that_is_missing_is_told_of_before_any_training(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 42)
    with pytest.raises(DataError, match=r"none\.csv does not exist"):
        train_weekly(with_items(tmp_path, path="none.csv"), last)
    (tmp_path / "items.csv").write_text("sku,title\n1,One\n")
    with pytest.raises(DataError, match=r"has no column 'item' for the item; it has 'sku'"):
        train_weekly(with_items(tmp_path, path="items.csv"), last)
    for wrong in ({"path": "x", "title": "item"}, {"path": "x", "colour": "y"}):
        with pytest.raises(SettingsError):
            with_items(tmp_path, **wrong)
    assert pipeline_in(tmp_path).items is None
    with pytest.raises(SettingsError, match="path"):
        with_items(tmp_path, item="sku")
