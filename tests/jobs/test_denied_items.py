"""Denied items in other spellings, and catalogues that the events no longer name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.jobs.denied_items import denied_ids
from nearfar.jobs.publish import publish
from nearfar.jobs.registry import Registry
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly
from tests.jobs.cases import pipeline_in, write_days


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop with a published version, whose items are integers."""
    last = write_days(tmp_path / "events", 35)
    pipeline = replace(pipeline_in(tmp_path), algorithm=make_algorithm("popularity", {}))
    train_weekly(pipeline, last)
    publish(pipeline.registry, force=True)
    return tmp_path


def rewritten(shop: Path, item: pl.Expr) -> None:
    """Write the items of all events in another spelling."""
    for path in (shop / "events").glob("date=*/events.parquet"):
        pl.read_parquet(path).with_columns(item=item).write_parquet(path)


def test_denied_ids_are_read_as_ids_are_everywhere(shop: Path) -> None:
    pipeline = pipeline_in(shop, score={"deny": ["1.0", " 1000 ", '="3"']})
    bundle = Registry(pipeline.registry).bundle(str(Registry(pipeline.registry).current()))
    assert denied_ids(pipeline, bundle).to_list() == [1, 1000, 3]
    for other in ("01", "+1", "item_id", "1,recalled"):
        with pytest.raises(SettingsError, match="is not an integer without leading zeros"):
            denied_ids(pipeline_in(shop, score={"deny": [other]}), bundle)


def test_a_denied_id_that_is_no_item_is_shown(shop: Path) -> None:
    last = write_days(shop / "events", 35)
    said: list[str] = []
    score_daily(pipeline_in(shop, score={"deny": ["1", "99999"]}), last, say=said.append)
    assert any("1 of 2 denied ids are not items of" in s and "such as 99999" in s for s in said)


@pytest.mark.parametrize(
    ("item", "looks"),
    [
        (pl.col("item").cast(pl.String).str.zfill(6), "look like '0"),
        ("i" + pl.col("item").cast(pl.String), "look like 'i"),
        (pl.col("item") + 50_000, "look like 5"),
    ],
    ids=["leading zeros", "a prefix", "other numbers"],
)
def test_events_whose_items_the_version_does_not_know_are_refused(
    item: pl.Expr, looks: str, shop: Path
) -> None:
    pipeline = pipeline_in(shop)
    last = write_days(shop / "events", 35)
    assert score_daily(pipeline, last).n_users
    rewritten(shop, item)
    with pytest.raises(DataError, match=f"no item of the events is one of .*{looks}"):
        score_daily(pipeline, last, again=True)


def test_a_window_without_any_row_says_what_to_do(shop: Path) -> None:
    pipeline = pipeline_in(shop)
    last = write_days(shop / "events", 35)
    with pytest.raises(EmptyDataError, match="set --as-of to the last day with events"):
        score_daily(pipeline, last.replace(year=last.year - 1))
