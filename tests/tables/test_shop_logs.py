"""Logs as shops have them: other languages, JSON lines, SQLite, returns, robots."""

from __future__ import annotations

import gzip
import json
import sqlite3
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.data.filters import Filters
from nearfar.data.inspect import inspect_log
from nearfar.data.log import Log, read_log
from nearfar.store.contracts import Contract
from nearfar.store.sources.csv import CSVEvents
from nearfar.tables.columns import resolve
from nearfar.tables.roles import EVENT_ROLES, ITEM_ROLES
from nearfar.tables.table import ReadOptions

ROWS = [
    ("0007", "01/22", "2026-11-01T08:00:00.000Z", 2), ("0007", "00/3", "2026-11-02T09:30:00Z", 1),
    ("12", "01/22", "2026-11-02T10:00:00Z", 1),
]  # fmt: skip
NOVEMBER = (date(2026, 11, 1), date(2026, 12, 1))


def json_lines(rows: list[tuple]) -> str:
    keys = ("userId", "productId", "eventTime", "quantity")
    return "".join(json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in rows)


def database(path: Path) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders(customer_id, article_id, created_at, quantity)")
        mixed = [(12 if user == "12" else user, *rest) for user, *rest in ROWS]  # as SQLite may
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", mixed)
        connection.execute("CREATE TABLE articles(article_id, name)")
    connection.close()
    return path


def rows_of(log: Log) -> list[tuple]:
    return log.frame.select("user", "item", "timestamp", "weight").rows()


EXPECTED = [("0007", "01/22", 1793520000, 2.0), ("0007", "00/3", 1793611800, 1.0),
            ("12", "01/22", 1793613600, 1.0)]  # fmt: skip


@pytest.mark.parametrize("block_bytes", [50, 1 << 20])
@pytest.mark.parametrize("name", ["events.jsonl", "events.json", "events.ndjson.gz", "events.log"])
def test_json_lines_are_a_table(name: str, block_bytes: int, tmp_path: Path) -> None:
    text = ("\n" + json_lines(ROWS)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    log = read_log(tmp_path / name, options=ReadOptions(block_bytes=block_bytes))
    assert rows_of(log) == EXPECTED
    assert log.read is not None
    assert "a JSON lines table" in log.read.lines()[0]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"user": 1, "item": 2}\n{"user": 1, \n', "row 2: not JSON"),
        ("[[1, 2]]\n", "row 1: this is a list; JSON objects were expected"),
        (
            '{"user": 7, "item": 2}\n{"user": {"id": 8}, "item": 2}\n',
            "row 2: 'user' has several values",
        ),
        ('{"user": 1, "item": 2}\n{"item": 2}\n', "row 2: the user is missing"),
        ('{"user": 1, "item": 2}\n{"user": 3} {"user": 3, "item": 2}\n', "row 2: not JSON"),
        ('{"who": 1, "what": 2}\n', "no column known as the user and no column known as the item"),
    ],
)
def test_what_is_no_json_lines_is_named_by_its_row(lines: str, message: str, tmp_path) -> None:
    (tmp_path / "x.jsonl").write_text(lines)
    with pytest.raises(DataError, match=message):
        read_log(tmp_path / "x.jsonl")


def test_the_pipeline_reads_json_lines_as_a_text_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json_lines(ROWS[:2]))
    (tmp_path / "b.csv").write_text("userId,productId,eventTime,quantity\n12,01/22,2026-11-02,1\n")
    events = CSVEvents(str(tmp_path)).read(*NOVEMBER)
    assert sorted(events["user"]) == ["0007", "0007", "12"]


def test_the_table_of_an_sqlite_file_is_read(tmp_path: Path) -> None:
    path = database(tmp_path / "shop.db")
    log = read_log(path, item="article_id")
    assert rows_of(log) == EXPECTED
    assert log.read is not None
    assert "not read: articles" in log.read.lines()
    with pytest.raises(DataError, match="without the table order; it has articles, orders"):
        read_log(path, options=ReadOptions(table="order"))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="cannot be read as an SQLite database"):
        read_log(path)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["Kundennummer", "Artikel-Nr.", "Bestelldatum", "Stückzahl"],
         ["Kundennummer", "Artikel-Nr.", "Bestelldatum", "Stückzahl"]),
        (["id_cliente", "código_producto", "fecha", "cantidad"],
         ["id_cliente", "código_producto", "fecha", "cantidad"]),
        (["numéro_client", "code_article", "date_commande", "quantité"],
         ["numéro_client", "code_article", "date_commande", "quantité"]),
        # A usual name wins over a rarer one, in silence.
        (["customer_id", "kunde", "sku", "ean", "created_at", "datum"],
         ["customer_id", "sku", "created_at"]),
    ],
)  # fmt: skip
def test_columns_of_other_languages_are_recognised(columns, expected) -> None:
    assert list(resolve(columns, "x", EVENT_ROLES).values()) == expected


def test_two_rarer_names_are_asked_about_and_titles_are_known() -> None:
    with pytest.raises(SchemaError, match="'artikelnr', 'ean' could each be the item"):
        resolve(["kunde", "artikelnr", "ean"], "x", EVENT_ROLES)
    found = resolve(["Artikelnummer", "Bezeichnung", "Warengruppe"], "x", ITEM_ROLES)
    assert found == {"item": "Artikelnummer", "title": "Bezeichnung", "genres": "Warengruppe"}


def test_returns_are_no_events_and_are_counted(tmp_path: Path) -> None:
    rows = {"user": [1, 1, 2, *[1] * 9, None], "item": [3] * 13, "quantity": [2, -2, 0, *[1] * 10]}
    pl.DataFrame(rows).write_csv(tmp_path / "log.csv")
    log = read_log(tmp_path / "log.csv", drop_bad_rows=True, filters=Filters())
    assert log.frame.select("user", "item").rows() == [(1, 3)]
    assert log.read is not None
    kept = "(keep it with --weight-column ''; in Python and in settings weight = '')"
    assert dict(log.read.left_out) == {
        f"quantity is 0: no event {kept}": 1,
        f"quantity is negative: a return, no event {kept}": 1,
        "the user is missing": 1,
    }
    assert str(log.steps[0]).startswith("unreadable rows, weight > 0 dropped 3 events")


def test_returns_break_no_contract() -> None:
    at = pl.datetime(2026, 11, 2, time_zone="UTC")
    weights = [1.0] * 50 + [-1.0] * 40 + [float("-inf")]
    events = pl.DataFrame({"user": range(91), "item": [1] * 91, "weight": weights})
    checked = Contract(max_unusable_share=0.02).check(
        events.with_columns(timestamp=at.cast(pl.Datetime("us", "UTC"))), *NOVEMBER
    )
    assert checked.report.rejected == {
        "weight unusable": 1, "no event: a return, the weight is negative": 40,
    }  # fmt: skip
    assert checked.report.shares["rejected"] == pytest.approx(1 / 91)


def test_robots_are_remarked_on_and_can_be_left_out(tmp_path: Path) -> None:
    rows = [(f"u{n}", item) for n in range(30) for item in range(2)]
    robot = [("bot", item) for item in range(50)] * 4
    pl.DataFrame(rows + robot, schema=["user", "item"], orient="row").write_csv(tmp_path / "l.csv")
    log = read_log(tmp_path / "l.csv")
    assert log.read is not None
    assert log.read.remarks == [
        "1 user has 77% of all events (bot); if these are robots, leave them out with --max-user "
        "(in settings: filters.max_user)"
    ]
    assert Filters(max_user=49).apply(log).n_users == 30
    assert Filters(max_user=50).apply(log).n_users == 31
    with pytest.raises(SettingsError, match="max_user is 2; it must be at least 1 and at least"):
        Filters(min_user=3, max_user=2)


def test_inspect_counts_repeated_events_whatever_is_filtered() -> None:
    events = [(1, 1, 10), (1, 1, 30), (1, 2, 20), (2, 1, 50)]
    log = read_log(pl.DataFrame(events, schema=["user", "item", "timestamp"], orient="row"))
    report = inspect_log(log, Filters(min_user=2), measure_speed=False)
    assert (report.n_events, report.n_repeated, report.n_interactions) == (4, 1, 2)
    assert (report.n_users, report.n_items) == (1, 2)
    assert (report.activity["0"], report.popularity["0"]) == (2, 1)
    assert report.last == "1970-01-01T00:00:50+00:00"
