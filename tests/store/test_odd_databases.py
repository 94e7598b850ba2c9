"""Tables of databases with times, names and values that a user would expect to be read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nearfar.core.errors import DataError, SchemaError
from nearfar.store.sources.sql import SQLEvents
from nearfar.tables.report import ReadReport

SINCE, UNTIL = date(2026, 11, 10), date(2026, 11, 17)
TIMES = [datetime(2026, 10, 20, 8, tzinfo=UTC) + timedelta(hours=7 * n) for n in range(150)]
IN_WINDOW = [t for t in TIMES if SINCE <= t.date() < UNTIL]


def database(
    folder: Path, write: Callable[[datetime], Any], table: str = "events", user: Any = 7
) -> str:
    with sqlite3.connect(folder / "shop.db") as connection:
        connection.execute(f"create table {table} (user_id, item_id, created_at)")
        rows = [(user, 100 + n, write(time)) for n, time in enumerate(TIMES)]
        connection.executemany(f"insert into {table} values (?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{folder / 'shop.db'}"


def read(url: str, **settings: Any) -> tuple[list[datetime], ReadReport]:
    report = ReadReport()
    if "query" not in settings:
        settings.setdefault("table", "events")
    source = SQLEvents(url, **settings)
    return source.read(SINCE, UNTIL, report)["timestamp"].to_list(), report


@pytest.mark.parametrize(
    "write",
    [
        lambda t: t.strftime("%d.%m.%Y %H:%M:%S"),
        lambda t: t.strftime("%m/%d/%Y %H:%M"),
        lambda t: str(int(t.timestamp())),
        lambda t: t.strftime("%b %d %Y %H:%M:%S"),
    ],
    ids=["dots", "slashes", "digits", "words"],
)
def test_times_that_the_database_cannot_order_are_read_and_filtered_here(
    write: Callable[[datetime], str], tmp_path: Path
) -> None:
    times, report = read(database(tmp_path, write))
    assert times == IN_WINDOW
    assert any("so all rows are read" in remark for remark in report.remarks)


def test_a_format_says_whether_the_text_is_sorted(tmp_path: Path) -> None:
    form = "%Y-%d-%m %H:%M:%S"
    url = database(tmp_path, lambda t: t.strftime(form))
    assert read(url, time_format=form)[0] == IN_WINDOW


@pytest.mark.parametrize(
    ("table", "given"),
    [
        ('"My Events"', "My Events"),
        ('"My Events"', '"My Events"'),
        ('"shop.events"', '"shop.events"'),
        ('"a ""b"""', '"a ""b"""'),
        ("events", 'main."events"'),
    ],
)
def test_names_of_tables_may_be_quoted(table: str, given: str, tmp_path: Path) -> None:
    url = database(tmp_path, lambda t: t.isoformat(), table)
    assert read(url, table=given)[0] == IN_WINDOW


def test_a_query_may_end_with_a_comment(tmp_path: Path) -> None:
    url = database(tmp_path, lambda t: t.isoformat())
    assert read(url, query="select * from events -- all of them")[0] == IN_WINDOW


def test_binary_ids_and_times_of_day_are_refused_by_name(tmp_path: Path) -> None:
    url = database(tmp_path, lambda t: t.isoformat(), user=b"\x00\x01")
    with pytest.raises(SchemaError, match="events: the user is binary"):
        read(url)
    (tmp_path / "b").mkdir()
    with pytest.raises(SchemaError, match="a time of day has no date"):
        read(database(tmp_path / "b", lambda t: t.strftime("%H:%M:%S")))


@pytest.mark.parametrize("url", ["mysql+nosuch://u:secret@h/shop", "nosuch:///shop.db"])
def test_a_driver_that_is_not_installed_is_told(url: str) -> None:
    with pytest.raises(DataError, match="cannot load the driver; install it") as caught:
        read(url)
    assert "secret" not in str(caught.value)
