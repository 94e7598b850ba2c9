"""A log means the same in `read_log`, for `nearfar train`, and in a source, for the pipeline."""

from __future__ import annotations

import gzip
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SchemaError
from nearfar.store.contracts import Contract
from nearfar.store.sources.source import EventSource, make_source
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions

SINCE, UNTIL = date(2000, 1, 1), date(2026, 6, 1)
LENIENT = Contract(
    max_missing_share=1, max_unusable_share=1, max_rejected_share=1, max_repeated_share=1,
    volume_days=0,
)  # fmt: skip
Rows = list[tuple[Any, Any, float | None]]


def text(content: str, name: str = "log.csv") -> Callable[[Path], Path]:
    """What writes a log of this text."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return folder if "/" in name else path

    return write


def parquet(frame: pl.DataFrame, name: str = "log.parquet") -> Callable[[Path], Path]:
    """What writes a log of this frame."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(path)
        return folder if "/" in name else path

    return write


def parts(*logs: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """What writes several files into one folder."""

    def write(folder: Path) -> Path:
        for log in logs:
            log(folder)
        return folder

    return write


def zipped(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "log.zip", "w") as archive:
        archive.writestr("part-1.csv", "user,item,timestamp\n1,10,2026-05-01\n")
        archive.writestr("part-2.csv", "user,item,timestamp\n2,11,2026-05-02\n")
    return folder / "log.zip"


MOMENTS = pl.Series("ts", [datetime(2026, 5, 1, 8, n) for n in range(4)])
VIEWS = (
    "user,item,event,ts\n1,10,view,2026-05-01\n1,11,buy,2026-05-02\n2,10,impression,2026-05-03\n"
)

LOGS: dict[str, tuple[str, Callable[[Path], Path], dict[str, Any]]] = {
    "impressions": ("csv", text(VIEWS), {}),
    "impressions with a weight": ("csv", text(VIEWS), {"kind_weights": "impression=1,buy=5"}),
    "kinds kept": ("csv", text(VIEWS), {"kind": ""}),
    "a kind of weight 0": ("csv", text(VIEWS), {"kind_weights": "view=0,buy=5"}),
    "kinds under a name of their own": (
        "csv", text(VIEWS.replace("event", "what")), {"kind": "what"},
    ),
    "outcomes": (
        "csv",
        text("user,item,clicked,ts\n1,10,0,2026-05-01\n1,11,1,2026-05-01\n2,10,,2026-05-02\n"),
        {},
    ),
    "outcomes kept": (
        "csv",
        text("user,item,label,ts\n1,10,0,2026-05-01\n1,11,1,2026-05-01\n"),
        {"outcome": ""},
    ),
    "outcomes under a name of their own": (
        "parquet",
        parquet(pl.DataFrame({"user": [1, 1, 2, 2], "item": [1, 2, 3, 4], "ts": MOMENTS,
                              "hit": [True, False, True, None]})),
        {"outcome": "hit"},
    ),
    "states of orders": (
        "csv",
        text("customer_id;sku;Financial Status;ordered_at;qty\nA;x;paid;01.05.2026 10:00;1\n"
             "A;y;refunded;01.05.2026 10:01;1\nB;x;paid;02.05.2026 11:00;-1\nB;z;paid;;2\n"),
        {},
    ),
    "quantities that count": (
        "csv",
        text("user,item,qty,ts\n1,10,2,2026-05-01\n1,10,3,2026-05-01\n2,10,0,2026-05-02\n"),
        {"weight": "qty"},
    ),
    "quantities left out": (
        "csv", text("user,item,qty,ts\n1,10,0,2026-05-01\n2,10,3,2026-05-01\n"), {"weight": ""},
    ),
    "odd ids": (
        "csv",
        text("user,item,ts\n Jose\u0301 ,\u200b10,2026-05-01\nJos\u00e9,10.0,2026-05-02\n"
             "NULL,11,2026-05-02\nb,,2026-05-02\n(not set),12,2026-05-02\nc,1.5E+12,2026-05-03\n"),
        {},
    ),
    "integers in text": ("csv", text("user,item,ts\n7,1,2026-05-01\n7.0,2,2026-05-01\n"), {}),
    "integers with zeros before": (
        "csv", text("user,item,ts\n7,1,2026-05-01\n007,2,2026-05-01\n"), {},
    ),
    "words that are ids": (
        "csv", text("user,item,ts\nNone,1,2026-05-01\nNA,2,2026-05-01\n"), {"literal_ids": True},
    ),
    "a date and a time of day": (
        "csv", text("user,item,date,time\n1,10,2026-05-01,23:30\n2,11,2026-05-02,00:10\n"), {},
    ),
    "a date and a time of day in Parquet": (
        "parquet",
        parquet(pl.DataFrame({"user": [1, 2], "item": [10, 11],
                              "date": [date(2026, 5, 1), date(2026, 5, 2)],
                              "time": ["23:30", "00:10"]})),
        {},
    ),
    "days of a spreadsheet": (
        "csv", text("user,item,ts\n1,10,46143\n2,10,46144.5\n"), {},
    ),
    "milliseconds": ("csv", text("user,item,ts\n1,10,1777593600000\n2,10,1777593600000\n"), {}),
    "dates as numbers": ("csv", text("user,item,ts\n1,10,20260501\n2,10,20260502\n"), {}),
    "lists in cells": ("csv", text("user,items,ts\n1,a|b,2026-05-01\n2,b|c|d,2026-05-02\n"), {}),
    "lists whose separator is given": (
        "csv", text("user,item,ts\n1,a/b,2026-05-01\n2,b,2026-05-02\n"), {"item_separator": "/"},
    ),
    "lists of Parquet": (
        "parquet",
        parquet(pl.DataFrame({"user": [1, 2], "items": [["a", "b"], []], "ts": MOMENTS[:2]})),
        {},
    ),
    "objects of Parquet": (
        "parquet",
        parquet(pl.DataFrame({"user_id": [1, 2], "ts": MOMENTS[:2],
                              "properties": [{"product_id": 5, "event": "view"},
                                             {"product_id": 6, "event": "impression"}]})),
        {},
    ),
    "headers again": (
        "csv", text("user,item,ts\n1,10,2026-05-01\nuser,item,ts\n2,11,2026-05-02\n"), {},
    ),
    "a title above the header": (
        "csv", text("Orders of May\nuser,item,ts\n1,10,2026-05-01\n2,11,2026-05-02\n"), {},
    ),
    "JSON lines": (
        "csv",
        text('{"user": "1", "ts": "2026-05-01", "item": "007"}\n'
             '{"user": "2", "ts": "2026-05-01", "item": "8"}\n', "log.jsonl"),
        {},
    ),
    "compressed text without a usual ending": (
        "csv",
        text("user\titem\tts\n1\t10\t2026-05-01\n2\t10\t2026-05-01\n", "days/log.txt.gz"),
        {},
    ),
    "parts in an archive": ("csv", zipped, {}),
    "an empty part": (
        "csv",
        parts(text("user,item,ts\n1,10,2026-05-01\n", "days/a.csv"), text("", "days/b.csv")),
        {},
    ),
    "kinds that folders name": (
        "parquet",
        parts(
            parquet(pl.DataFrame({"user": [1], "item": [10], "ts": MOMENTS[:1]}),
                    "event=purchase/part.parquet"),
            parquet(pl.DataFrame({"user": [2], "item": [10], "ts": MOMENTS[:1]}),
                    "event=impression/part.parquet"),
        ),
        {},
    ),
    "kinds that folders of text name": (
        "csv",
        parts(
            text("user,item,ts\n1,10,2026-05-01\n", "event=purchase/a.csv"),
            text("user,item,ts\n2,10,2026-05-01\n", "event=impression/b.csv"),
        ),
        {},
    ),
    "days that folders name alone": (
        "parquet",
        parquet(pl.DataFrame({"user": [1], "item": [10]}), "date=2026-05-01/x.parquet"),
        {},
    ),
    "text ids of Parquet": (
        "parquet",
        parquet(pl.DataFrame({"user": ["1", " 2 "], "item": [10.0, 11.0], "ts": MOMENTS[:2]})),
        {},
    ),
}  # fmt: skip


def by_read_log(path: Path, asked: dict[str, Any]) -> tuple[Rows, dict[str, int]]:
    """User, item and time of each event that training sees, and what was left out."""
    reading = {k: v for k, v in asked.items() if k in ("literal_ids", "item_separator")}
    rest = {k: v for k, v in asked.items() if k not in reading}
    options = ReadOptions(rules=RowRules(max_dropped_share=1, **reading))
    log = nf.read_log(path, options=options, drop_bad_rows=True, format="table", **rest)
    assert log.read is not None
    return rows_of(log), no_events(log.read)


def by_source(source: EventSource, kind_weights: str | None) -> tuple[Rows, dict[str, int]]:
    """The same of a source whose events a contract accepted."""
    from nearfar.data.weighting import parse_kinds

    kinds = None if kind_weights is None else parse_kinds(kind_weights)
    report = ReadReport()
    events = source.read(SINCE, UNTIL, report, kinds=kinds)
    accepted = LENIENT.check(events, SINCE, UNTIL).events
    seconds = accepted.with_columns(pl.col("timestamp").dt.epoch("s"))
    return rows_of(nf.Log.from_frame(seconds)), no_events(report)


def rows_of(log: nf.Log) -> Rows:
    columns = ["user", "item", "timestamp", *(["weight"] if log.has("weight") else [])]
    return sorted(log.frame.select(columns).rows(), key=str)


def no_events(report: ReadReport) -> dict[str, int]:
    # Weights are judged by the contract.
    reasons = [r for r in report.left_out if "no event (" in r and "--weight-column" not in r]
    return {reason: report.left_out[reason] for reason in reasons}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_the_same_interactions_in_both_ways(name: str, tmp_path: Path) -> None:
    kind, write, asked = LOGS[name]
    path = write(tmp_path)
    expected, left_out = by_read_log(path, asked)
    assert expected, "the log holds events"
    columns = {k: asked[k] for k in ("kind", "outcome", "weight") if k in asked}
    rules = {k: asked[k] for k in ("literal_ids", "item_separator") if k in asked}
    source = make_source(kind, {"path": str(path), "columns": columns, **rules})
    found, also_left_out = by_source(source, asked.get("kind_weights"))
    assert found == expected
    assert also_left_out == left_out


@pytest.mark.parametrize("asked", [{}, {"kind": ""}, {"kind_weights": "impression=2,buy=5"}])
def test_a_database_is_read_by_the_same_rules(asked: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders(customer, sku, event, clicked, ordered_at)")
        rows = [
            ("a", " 007 ", "impression", 1, "2026-05-01"), ("a", "7", "buy", 1, "2026-05-02"),
            ("b", "8", "buy", 0, "2026-05-03"), ("NULL", "8", "buy", 1, "2026-05-03"),
        ]  # fmt: skip
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    expected, left_out = by_read_log(path, asked)
    columns = {k: v for k, v in asked.items() if k == "kind"}
    source = make_source("sql", {"url": f"sqlite:///{path}", "table": "orders", "columns": columns})
    assert by_source(source, asked.get("kind_weights")) == (expected, left_out)


def test_days_of_a_spreadsheet_are_found_in_a_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders(user, item, ts)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?)", [(1, 5, 46142.9), (2, 5, 46143), (3, 5, 46144)]
        )
    connection.close()
    source = make_source("sql", {"url": f"sqlite:///{tmp_path}/shop.db", "table": "orders"})
    report = ReadReport()
    day = source.read(date(2026, 5, 1), date(2026, 5, 2), report)
    assert day["user"].to_list() == [2]
    assert any("days of a spreadsheet: 2026-04-30 to 2026-05-02" in r for r in report.remarks)


def test_what_numbers_of_days_became_is_told(tmp_path: Path) -> None:
    path = text("user,item,ts\n1,10,46143\n2,10,36526.5\n")(tmp_path)
    log = nf.read_log(path)
    assert log.read is not None
    said = [r for r in log.read.remarks if "days of a spreadsheet" in r]
    assert len(said) == 1
    assert "2000-01-01 to 2026-05-01" in said[0]
    assert "--time-unit s" in said[0]
    options = ReadOptions(rules=RowRules(time_unit="s"))
    told = nf.read_log(path, options=options).read
    assert told is not None
    assert not any("spreadsheet" in r for r in told.remarks)


def test_steps_that_are_no_dates_are_refused_by_name(tmp_path: Path) -> None:
    path = text("user,item,ts\n1,10,1\n2,10,2\n")(tmp_path)
    with pytest.raises(DataError, match="'ts' are numbers too small for dates"):
        make_source("csv", {"path": str(path)}).read(SINCE, UNTIL)


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    for name in ("a.csv", "b.txt", "README.md"):
        (tmp_path / name).write_text("user,item,ts\n1,10,2026-05-01\n")
    report = ReadReport()
    source = make_source("csv", {"path": str(tmp_path)})
    assert source.read(SINCE, UNTIL, report).height == 2
    assert report.skipped_files == ["README.md"]


def test_a_column_that_is_named_for_outcomes_must_hold_them(tmp_path: Path) -> None:
    path = text("user,item,hit,ts\n1,10,maybe,2026-05-01\n2,10,yes,2026-05-01\n")(tmp_path)
    with pytest.raises(SchemaError, match=r"'hit' is set as the outcome, but has 'maybe'"):
        nf.read_log(path, outcome="hit")
    source = make_source("csv", {"path": str(path), "columns": {"outcome": "hit"}})
    with pytest.raises(SchemaError, match=r"'hit' is set as the outcome, but has 'maybe'"):
        source.read(SINCE, UNTIL)
