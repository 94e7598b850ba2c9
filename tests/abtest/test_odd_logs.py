"""Logs of A/B tests that gave numbers that looked right and were wrong, or said nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nearfar.abtest.analysis import Analysis, AnalysisSettings, analyse
from nearfar.abtest.assignment import Experiment
from nearfar.abtest.checks import check_logs
from nearfar.abtest.logs import Logs, parse_columns, read_logs
from nearfar.abtest.sources import Query
from nearfar.core.errors import DataError

EXPERIMENT = Experiment("e", start=date(2024, 5, 1), end=date(2024, 5, 3))
Rows = list[tuple[Any, ...]]


def exposures(time: str = "2024-05-0{}T10:00:00") -> Rows:
    return [
        (u, time.format(d), "treatment" if u % 2 else "control")
        for u in range(1, 21)
        for d in (1, 2, 3)
    ]


def clicks(user: Callable[[int], Any] = int, time: str = "2024-05-0{}T10:05:00") -> Rows:
    return [
        (user(u), time.format(d)) for u in range(1, 21) for d in (1, 2, 3) if (u + d) % (3 + u % 2)
    ]


def frame(rows: Rows, *columns: str) -> pl.DataFrame:
    names = columns or ("user", "timestamp", "arm")[: len(rows[0])]
    return pl.DataFrame(rows, schema=list(names), orient="row")


def csv(folder: Path, name: str, rows: Rows, *columns: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    frame([tuple(map(str, row)) for row in rows], *columns).write_csv(path)
    return path


def said(logs: Logs) -> str:
    return "\n".join(logs.remarks)


def analysed(logs: Logs) -> Analysis:
    return analyse(logs, EXPERIMENT, AnalysisSettings(n_resamples=0))


def test_plain_logs_have_no_remarks(tmp_path: Path) -> None:
    logs = read_logs(csv(tmp_path, "e.csv", exposures()), csv(tmp_path, "c.csv", clicks()))
    assert logs.remarks == ()
    assert analysed(logs).warnings == ()


@pytest.mark.parametrize(
    ("seen", "done", "remark"),
    [
        (exposures() * 2, clicks(), "exposures: 60 rows are exact copies of others"),
        ([*exposures(), ("Total", "2024-05-03T00:00:00", "control")], clicks(),
         "exposures: 1 of 21 user ids are not whole numbers like the others, such as 'Total'"),
        ([*exposures(), ("guest", "2024-05-03T00:00:00", "control")], clicks(),
         "exposures: user 'guest' has 1 events and may stand for all users"),
        (exposures(), clicks(lambda u: f"{u:03}") + clicks(), "clicks: 20 user ids differ from"),
        (exposures("2024-05-0{}T10:00:00Z"), clicks(),
         "the times of the clicks have no time zone and are read as UTC; those of the exposures"),
        (exposures(), clicks(time="2024-05-0{}T10:05:00+02:00"),
         "the times of the exposures have no time zone and are read as UTC; those of the clicks"),
        (exposures("2024-05-0{}T10:00:00Z") + exposures("2024-05-0{}T11:00:00"), clicks(),
         "exposures: 60 times have no time zone"),
    ],
)  # fmt: skip
def test_what_looks_odd_is_said(seen: Rows, done: Rows, remark: str, tmp_path: Path) -> None:
    assert remark in said(read_logs(csv(tmp_path, "e.csv", seen), csv(tmp_path, "c.csv", done)))


def test_copies_of_files_are_said(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        csv(tmp_path, f"e/{name}", exposures())
    logs = read_logs(tmp_path / "e", csv(tmp_path, "c.csv", clicks()))
    assert "exposures: files with the same content: b.csv and a.csv" in said(logs)


@pytest.mark.parametrize(
    ("done", "warning"),
    [
        (clicks(lambda u: f"u{u}"), "of users never exposed"),
        (clicks(lambda u: f"{u:03}"), "of users never exposed"),
        (clicks(time="2023-05-0{}"), "all clicks are from 2023-05-01 to 2023-05-03, none from"),
        (exposures(), "60 clicks on 60 views: does the log of clicks hold views too"),
    ],
)
def test_clicks_that_do_not_belong_to_views_are_warned_of(done: Rows, warning, tmp_path) -> None:
    logs = read_logs(csv(tmp_path, "e.csv", exposures()), csv(tmp_path, "c.csv", done))
    assert any(warning in told for told in analysed(logs).warnings)
    if "2023" in warning:
        checks = {check.name: check for check in check_logs(logs, EXPERIMENT)}
        assert checks["clicks_after_exposures"].passed is False


def test_days_after_the_end_are_told(tmp_path: Path) -> None:
    late = clicks(time="2024-05-1{}T10:05:00")
    logs = read_logs(frame(exposures()), frame(clicks() + late))
    told = f"0 views and {len(late)} clicks are from after 2024-05-03: not counted."
    assert told in analysed(logs).notes


@pytest.mark.parametrize(
    ("column", "values", "role"),
    [("clicked", (1, 0), "outcome"), ("event", ("click", "impression"), "kind")],
)
def test_rows_of_clicks_that_are_none_are_left_out(
    column: str, values: Sequence[Any], role: str, tmp_path: Path
) -> None:
    rows = [(u, t, values[(u + i) % 2]) for i, (u, t, _) in enumerate(exposures())]
    path = csv(tmp_path, "c.csv", rows, "user", "timestamp", column)
    n = sum(row[2] == values[0] for row in rows)
    logs = read_logs(frame(exposures()), path)
    assert int(logs.clicks["clicks"].sum()) == n
    assert f"clicks: left out: {len(rows) - n} of {len(rows)} rows" in said(logs)
    assert f"--column {role}= keeps it" in said(logs)
    logs = read_logs(frame(exposures()), path, parse_columns([f"{role}="]))
    assert int(logs.clicks["clicks"].sum()) == len(rows)


def test_kinds_that_all_count_as_clicks_are_named() -> None:
    rows = [(u, t, "view" if u % 3 else "click") for u, t, _ in exposures()]
    logs = read_logs(frame(exposures()), frame(rows, "user", "timestamp", "event"))
    assert "rows of several kinds count as clicks (view 42, click 18)" in said(logs)


def database(path: Path, rows: Rows, columns: str) -> str:
    with closing(sqlite3.connect(path)) as shop:
        shop.execute(f"create table log ({columns})")
        shop.executemany(f"insert into log values ({', '.join('?' * len(rows[0]))})", rows)
        shop.commit()
    return f"sqlite:///{path}"


def test_a_database_with_a_date_and_a_time_of_day_loses_no_rows(tmp_path: Path) -> None:
    rows = [(u, t[:10], t[11:], arm) for u, t, arm in exposures()]
    address = database(tmp_path / "a.db", rows, "user, date, time, arm")
    with pytest.raises(DataError, match="row 1: the timestamp"):
        read_logs(Query(address, "log"), frame(clicks()))
    text = "SELECT user, date AS timestamp, arm FROM log"
    assert int(read_logs(Query(address, text), frame(clicks())).exposures["views"].sum()) == 60


def test_numbers_and_text_in_one_column_of_a_database(tmp_path: Path) -> None:
    rows = [(u, t, 3 if i % 2 else "12") for i, (u, t) in enumerate(clicks())]
    address = database(tmp_path / "a.db", rows, "user, timestamp, play_seconds")
    logs = read_logs(frame(exposures()), Query(address, "log"))
    assert logs.clicks["play_seconds"].sum() == sum(int(row[2]) for row in rows)


def test_users_beyond_64_bits_are_the_same_in_both_logs(tmp_path: Path) -> None:
    big = [(2**63 + u, t, arm) for u, t, arm in exposures()]
    seen = frame(big).cast({"user": pl.UInt64})
    logs = read_logs(seen, csv(tmp_path, "c.csv", clicks(lambda u: 2**63 + u)))
    assert analysed(logs).warnings == ()
    assert logs.exposures["user"][0] == str(2**63 + 1)
