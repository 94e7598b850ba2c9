"""The report of a log, on numbers that can be counted by hand."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from nearfar.core.errors import EmptyDataError
from nearfar.data.inspect import estimate_needs, inspect_log
from nearfar.data.log import Log, read_log


def log() -> Log:
    rows = [(1, 1, 5, 0), (1, 2, 4, 86400), (1, 1, 1, 172800), (2, 1, 3, 43200)]
    columns = ["user", "item", "rating", "timestamp"]
    return read_log(pl.DataFrame(rows, schema=columns, orient="row"), name="toy")


def test_counts():
    report = inspect_log(log(), measure_speed=False)
    assert (report.n_users, report.n_items, report.n_events) == (2, 2, 4)
    assert (report.n_interactions, report.n_repeated, report.density) == (3, 1, 0.75)
    assert report.ratings == {"1": 1, "3": 1, "4": 1, "5": 1}
    assert report.activity["0.5"] == 1.5
    assert report.popularity["1"] == 2
    assert (report.first, report.span_days) == ("1970-01-01T00:00:00+00:00", 2.0)
    dropped = {d.filter: d for d in report.would_drop}
    assert (dropped["rating >= 4"].events, dropped["rating >= 4"].left_users) == (1, 1)
    assert dropped["5-core"].left_events == 0


def test_is_json_with_a_measured_speed():
    plain = json.loads(json.dumps(inspect_log(log()).to_dict(), allow_nan=False))
    assert plain["needs"]["measured_flop_per_second"] > 0
    assert plain["needs"]["mult_vae_hours"] > 0


def test_a_log_without_ratings_or_times():
    report = inspect_log(read_log(pl.DataFrame({"user": [1], "item": [2]})), measure_speed=False)
    assert report.ratings is report.first is report.span_days is None
    assert not any("rating" in d.filter for d in report.would_drop)


def test_an_empty_log_is_refused():
    empty = Log.from_frame(
        pl.DataFrame({"user": [], "item": []}, schema=dict.fromkeys(["user", "item"], pl.Int64))
    )
    with pytest.raises(EmptyDataError):
        inspect_log(empty)


def test_needs_of_movielens_20m():
    needs = estimate_needs(136677, 20108, 9990682, measure_speed=False)
    assert needs.ease_bytes == 20108**2 * 4  # 1.6 GB
    layers = [(20108, 600), (600, 400), (200, 600), (600, 20108)]
    assert needs.mult_vae_parameters == sum(i * o + o for i, o in layers)
    assert needs.mult_vae_hours is None


def test_a_file_is_read_and_described_in_words(tmp_path):
    path = tmp_path / "toy.csv"
    log().frame.write_csv(path)
    report = inspect_log(path, measure_speed=False)
    assert report.n_events == 4
    lines = str(report).splitlines()
    assert (
        lines[0]
        == "toy.csv: 2 users, 2 items, 3 interactions (75.0000% of all pairs), 1 repeated events"
    )
    assert "interactions per user: 1 to 2, median 1.5" in lines


@pytest.mark.parametrize(("n_items", "reported"), [(400, False), (4, True)])
def test_a_log_of_repeat_purchases_is_reported(n_items: int, reported: bool) -> None:
    """Of 100 users with 12 events each, a user repeats at least 8 if there are four items."""
    events = np.arange(1200)
    frame = pl.DataFrame({"user": events // 12, "item": events * 7 % n_items})
    report = read_log(frame).read
    assert report is not None
    text = "67% of the events repeat an item of the same user"
    assert any(text in remark for remark in report.remarks) is reported
