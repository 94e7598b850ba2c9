"""Kinds of events and re-ranking in the pipeline."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.jobs.publish import publish
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.status import status, write_prometheus
from nearfar.jobs.train_weekly import train_weekly
from nearfar.jobs.window import split_window, window_events
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
    assert any(
        line.startswith("left out: 56 of ") and line.endswith("the kind 'share' has no weight")
        for line in said
    )
    assert events.left_out == {"the kind 'share' has no weight": 56}
    weekly = pipeline.train
    found = split_window(
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


def test_weights_of_kinds_need_a_column_that_may_hold_them(tmp_path: Path) -> None:
    source = {"kind": "parquet", "path": "events", "columns": {"kind": ""}}
    with pytest.raises(SettingsError, match=r"source.columns.kind says that no column holds kinds"):
        pipeline_in(tmp_path, source=source, train={"kind_weights": "view=1"})
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


def with_impressions(folder: Path, days: int, seed: int = 1):
    """The shop of the tests, where everybody is shown what a tenth of them buys; the last day."""
    for day in (FIRST + timedelta(days=n) for n in range(days)):
        events = day_of_events(day)
        seen = day_of_events(day, n_users=200, per_day=400, seed=seed)
        rows = pl.concat(
            [events.with_columns(event=pl.lit("purchase")),
             seen.with_columns(event=pl.lit("impression"))]
        )  # fmt: skip
        target = folder / "events" / f"date={day}"
        target.mkdir(parents=True)
        rows.write_parquet(target / "events.parquet")
    return FIRST + timedelta(days=days - 1)


def test_impressions_are_no_events_anywhere_in_the_pipeline(tmp_path: Path) -> None:
    last = with_impressions(tmp_path / "shop", 29)
    write_days(tmp_path / "plain" / "events", 29)
    found = {}
    for name in ("shop", "plain"):
        pipeline = pipeline_in(tmp_path / name)
        trained = train_weekly(pipeline, last - timedelta(days=1))
        publish(pipeline.registry)
        scored = score_daily(pipeline, last)
        found[name] = (trained, scored, pipeline)
    reason = "event is 'impression': no event"
    (trained, scored, pipeline), (plain, plain_scored, other) = found["shop"], found["plain"]
    data, same = trained.version.record["data"], plain.version.record["data"]
    assert data["fingerprint"] == same["fingerprint"], "trained on the purchases alone"
    assert data["contract"]["daily"] == same["contract"]["daily"], "and the contract saw no others"
    ((told, n),) = data["contract"]["left_out"].items()
    assert told.startswith(reason)
    assert n > 9000
    assert scored.n_users == plain_scored.n_users, "who was only shown something is not active"
    assert (
        pipeline.sink.read(last).drop("scored_at").equals(other.sink.read(last).drop("scored_at"))
    )
    standing = status(pipeline.registry)["last"]
    assert standing["train"]["detail"]["left_out"] == data["contract"]["left_out"]
    assert standing["score"]["detail"]["left_out"] == scored.left_out
    assert "left_out" in (pipeline.registry / "events.jsonl").read_text()
    assert pipeline.metrics_file is not None
    write_prometheus(pipeline.registry, pipeline.metrics_file)
    n_scored = sum(scored.left_out.values())
    assert f"nearfar_rows_left_out {float(n_scored)}" in pipeline.metrics_file.read_text()


def test_a_window_of_impressions_alone_says_where_its_rows_went(tmp_path: Path) -> None:
    last = with_impressions(tmp_path, 28)
    for path in (tmp_path / "events").rglob("*.parquet"):
        pl.read_parquet(path).with_columns(event=pl.lit("impression")).write_parquet(path)
    pipeline = pipeline_in(tmp_path)
    with pytest.raises(EmptyDataError, match=r"none is left of .* rows; left out: .*impression"):
        window_events(pipeline, last, "train", lambda text: None)
    kept = pipeline_in(
        tmp_path, source={"kind": "parquet", "path": "events", "columns": {"kind": ""}}
    )
    assert window_events(kept, last, "train", lambda text: None).left_out == {}
