"""Kinds of events and re-ranking in the pipeline."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.core.errors import SettingsError
from nearfar.jobs.publish import publish
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly
from nearfar.jobs.window import training_of, window_events
from tests.jobs.cases import FIRST, day_of_events, pipeline_in, write_days


def of_kinds(folder: Path, **train: object):
    """A pipeline whose source names the column of kinds."""
    source = {"kind": "parquet", "path": "events", "columns": {"kind": "what"}}
    return pipeline_in(folder, source=source, train={"kind_weights": "view=1,buy=5", **train})


def test_kinds_of_events_become_weights_and_unknown_ones_are_said(tmp_path: Path) -> None:
    for n in range(28):
        day = FIRST + timedelta(days=n)
        events = day_of_events(day)
        bought = events.head(20)
        rows = pl.concat(
            [events.with_columns(what=pl.lit("view")), bought.with_columns(what=pl.lit("buy")),
             events.head(2).with_columns(what=pl.lit("share"))]
        )  # fmt: skip
        target = tmp_path / "events" / f"date={day}"
        target.mkdir(parents=True)
        rows.write_parquet(target / "events.parquet")
    pipeline = of_kinds(tmp_path)
    said: list[str] = []
    events = window_events(pipeline, day, "train", said.append)
    assert events.n_rejected == 0, "a view and a purchase of the same second are two events"
    assert "left out: 56 events: the kind 'share' has no weight" in said
    weekly = pipeline.train
    found = training_of(
        events.frame, weekly.filters, as_of=day, share=0.1, holdout_days=7, salt="s",
        scale=pipeline.scale, repeats=weekly.weighting.repeats_rule,
    )  # fmt: skip
    bought = events.frame.filter(pl.col("weight") == 5).select("user", "item").unique()
    train = found.train
    assert train.weights is not None
    entries = train.x.tocoo()
    pairs = pl.DataFrame(
        {
            "user": train.user_ids.ids.gather(entries.row),
            "item": train.item_ids.ids.gather(entries.col),
            "weight": train.weights,
        }
    )
    assert set(pairs["weight"]) == {1, 5}
    strong = pairs.filter(pl.col("weight") == 5).select("user", "item")
    trained = bought.join(pairs, on=["user", "item"], how="semi")
    assert strong.sort("user", "item").equals(trained.sort("user", "item"))


def test_kinds_need_both_their_column_and_their_weights(tmp_path: Path) -> None:
    source = {"kind": "parquet", "path": "events", "columns": {"kind": "what"}}
    with pytest.raises(SettingsError, match=r"columns.kind is 'what'.*give both or none"):
        pipeline_in(tmp_path, source=source)
    with pytest.raises(SettingsError, match=r"columns.kind is None.*give both or none"):
        pipeline_in(tmp_path, train={"kind_weights": "view=1"})
    with pytest.raises(SettingsError, match="not of the form kind=number"):
        of_kinds(tmp_path, kind_weights="view")


def test_rules_hold_in_the_daily_lists_and_a_changed_file_scores_again(tmp_path: Path) -> None:
    last = write_days(tmp_path / "events", 29)
    pipeline = pipeline_in(tmp_path)
    train_weekly(pipeline, last - timedelta(days=1))
    publish(pipeline.registry)
    plain = score_daily(pipeline, last)
    before = pipeline.sink.read(last)
    rules = tmp_path / "rules.csv"
    rules.write_text("item,pin,exclude\n1002,1,\n5,,true\nx,2,\n")
    ruled = pipeline_in(tmp_path, score={"rules": "rules.csv", "rerank": "mmr"})
    said: list[str] = []
    done = score_daily(ruled, last, say=said.append)
    assert (done.already, done.n_users) == (False, plain.n_users)
    assert f"{rules}, line 4: the model has no item 'x'; the rule is ignored" in said
    rows = pipeline.sink.read(last)
    assert "5" in set(before["item"]) - set(rows["item"])
    first = rows.filter(pl.col("rank") == 1)
    seen = rows.filter(pl.col("item") == "1002")
    assert set(first.filter(pl.col("item") == "1002")["user"]) == set(seen["user"])
    assert len(seen) > 10
    assert np.isfinite(rows["score"].to_numpy()).all()
    assert score_daily(ruled, last).already
    rules.write_text("item,exclude\n1002,true\n")
    assert not score_daily(ruled, last).already
    assert "1002" not in set(pipeline.sink.read(last)["item"])
    rules.write_text("item,pin\n1002,first\n")
    with pytest.raises(SettingsError, match=r"rules.csv, line 2: pin is 'first'"):
        score_daily(ruled, last)
