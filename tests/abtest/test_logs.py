"""Logs come in from tables, files and databases alike, and say what is wrong with them."""

from __future__ import annotations

import gzip
import sqlite3
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest

from nearfar.abtest.logs import Logs, parse_columns, read_logs
from nearfar.abtest.sources import Query, open_sources
from nearfar.core.errors import (
    DataError,
    EmptyDataError,
    MissingExtraError,
    SchemaError,
    SettingsError,
)
from tests.abtest.cases import clicks, exposures, moment

SEEN = exposures(
    ("u1", "a", 0, "home", 2), ("u1", "a", 0, "home", 1), ("u1", "a", 1, "movie", 1),
    ("u2", "b", 0, "home", 1), ("u2", None, -1, "home", 4),
)  # fmt: skip
DONE = clicks(
    ("u1", 0, "home", 30.0), ("u1", 0, "home", None), ("u2", 0, "home", 5.5),
    ("u9", 3, "movie", 1.0),
)  # fmt: skip


def same(first: Logs, second: Logs) -> bool:
    return first.exposures.equals(second.exposures) and first.clicks.equals(second.clicks)


def test_rows_are_summed_by_user_and_day() -> None:
    logs = read_logs(SEEN, DONE)
    assert logs.exposures.rows() == [
        ("u1", date(2025, 9, 1), "a", "home", 3),
        ("u1", date(2025, 9, 2), "a", "movie", 1),
        ("u2", date(2025, 8, 31), None, "home", 4),
        ("u2", date(2025, 9, 1), "b", "home", 1),
    ]
    assert logs.clicks.rows() == [
        ("u1", date(2025, 9, 1), "home", 2, 30.0),
        ("u2", date(2025, 9, 1), "home", 1, 5.5),
        ("u9", date(2025, 9, 4), "movie", 1, 1.0),
    ]
    assert logs.cards == ("home", "movie")
    assert "play_seconds" in logs.clicks.columns
    assert (logs.first_day, logs.last_day) == (date(2025, 8, 31), date(2025, 9, 2))
    assert logs.of_card("movie").exposures.height == 1
    assert logs.between(date(2025, 9, 2), None).clicks["user"].to_list() == ["u9"]


def test_files_folders_and_databases_give_the_same(tmp_path: Path) -> None:
    expected = read_logs(SEEN, DONE)
    SEEN.write_parquet(tmp_path / "seen.parquet")
    DONE.write_parquet(tmp_path / "done.parquet")
    assert same(read_logs(tmp_path / "seen.parquet", str(tmp_path / "done.parquet")), expected)
    for i in range(3):
        part = tmp_path / "seen" / f"date=2025-09-0{i + 1}"
        part.mkdir(parents=True)
        SEEN[2 * i : 2 * i + 2].write_parquet(part / "part.parquet")
    (tmp_path / "seen" / ".hidden").mkdir()
    SEEN.write_parquet(tmp_path / "seen" / ".hidden" / "x.parquet")
    assert same(read_logs(tmp_path / "seen", tmp_path / "done.parquet"), expected)
    url = database(tmp_path / "logs.db")
    assert same(read_logs(Query(url, "seen"), Query(url, "done")), expected)
    chosen = Query(url, 'SELECT "user", arm, timestamp, card, views FROM seen WHERE views > 0;')
    assert same(read_logs(chosen, Query(url, "main.done")), expected)


def database(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        for name, frame in {"seen": SEEN, "done": DONE}.items():
            columns = ", ".join(f'"{c}"' for c in frame.columns)
            places = ", ".join("?" for _ in frame.columns)
            connection.execute(f"CREATE TABLE {name} ({columns})")
            rows = [[str(v) if isinstance(v, datetime) else v for v in r] for r in frame.rows()]
            connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows)
    connection.close()
    return f"sqlite:///{path}"


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_blocks_are_the_whole(tmp_path: Path, rows: int) -> None:
    SEEN.write_parquet(tmp_path / "seen.parquet")
    url = database(tmp_path / "logs.db")
    for source in (SEEN, tmp_path / "seen.parquet", Query(url, "SELECT * FROM seen")):
        (blocks,) = (
            list(t.blocks(["user", "views"])) for t in open_sources(source, block_rows=rows)
        )
        if isinstance(source, Query):
            assert [first for _, first in blocks] == list(range(1, 6, rows))
        assert pl.concat([b for b, _ in blocks]).rows() == SEEN.select("user", "views").rows()


def test_days_are_utc_whatever_the_form() -> None:
    late = datetime(2025, 9, 2, 1, 30, tzinfo=timezone(timedelta(hours=3)))
    zoned = pl.Series([late.astimezone(UTC)] * 5, dtype=pl.Datetime("us", "UTC"))
    for moments in (
        zoned,
        zoned.dt.convert_time_zone("Europe/Moscow"),
        zoned.dt.epoch("s"),
        zoned.dt.epoch("ms"),
        pl.Series(["2025-09-01 22:30:00"] * 5),
        pl.Series([date(2025, 9, 1)] * 5),
    ):
        logs = read_logs(SEEN.with_columns(timestamp=moments), DONE)
        assert logs.exposures["day"].unique().to_list() == [date(2025, 9, 1)]


def test_without_optional_columns() -> None:
    logs = read_logs(SEEN.select("user", "arm", "timestamp"), DONE.select("user", "timestamp"))
    assert logs.exposures.columns == ["user", "day", "arm", "views"]
    assert logs.exposures["views"].to_list() == [2, 1, 1, 1]
    assert logs.clicks.columns == ["user", "day", "clicks"]
    assert logs.cards == ()


def test_ids_and_arms_may_be_numbers() -> None:
    seen = SEEN.with_columns(user=pl.Series([1, 1, 1, 2, 2]), arm=pl.Series([0, 0, 0, 1, None]))
    logs = read_logs(seen, DONE.with_columns(user=pl.Series([1, 1, 2, 9])))
    assert logs.exposures["user"].to_list() == ["1", "1", "2", "2"]
    assert logs.exposures["arm"].to_list() == ["0", "0", None, "1"]
    assert set(logs.clicks["user"]) == {"1", "2", "9"}


def test_other_names_of_columns() -> None:
    seen, done = (f.rename({"user": "customer_id"}) for f in (SEEN, DONE))
    named = parse_columns(["user=customer_id"])
    assert same(read_logs(seen, done, named), read_logs(SEEN, DONE))
    with pytest.raises(SettingsError, match="'usr' is not a column of logs"):
        read_logs(seen, done, {"usr": "customer_id"})
    with pytest.raises(SettingsError, match="write it as user=customer_id"):
        parse_columns(["user"])


def with_cell(frame: pl.DataFrame, column: str, row: int, value: object) -> pl.DataFrame:
    values = frame[column].to_list()
    values[row] = value
    return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column], strict=False))


@pytest.mark.parametrize(
    ("seen", "done", "error", "told"),
    [
        (SEEN.drop("user"), DONE, SchemaError, "no column known as the user"),
        (SEEN, DONE.drop("timestamp"), SchemaError, "no column known as the timestamp"),
        (SEEN.drop("card"), DONE, SchemaError, "clicks name cards and the exposures do not"),
        (SEEN, DONE.drop("card"), SchemaError, "exposures name cards and the clicks do not"),
        (SEEN.clear(), DONE, EmptyDataError, "no exposures"),
        (with_cell(SEEN, "user", 3, None), DONE, DataError, "row 4: the user is missing"),
        (with_cell(SEEN, "timestamp", 1, None), DONE, DataError, "row 2: the timestamp is missing"),
        (with_cell(SEEN, "card", 4, None), DONE, DataError, "row 5: card is None"),
        (with_cell(SEEN, "views", 2, 0), DONE, DataError, "row 3: views is 0.0; expected a whole"),
        (with_cell(SEEN, "views", 2, None), DONE, DataError, "row 3: views is None"),
        (SEEN, with_cell(DONE, "play_seconds", 3, -1.0), DataError, "row 4: play_seconds is -1"),
        (SEEN, with_cell(DONE, "play_seconds", 0, float("inf")), DataError, "row 1: the play_sec"),
        (SEEN.with_columns(views=pl.lit("two")), DONE, DataError, "row 1: the views is 'two'"),
        (SEEN.with_columns(user=pl.lit(1.5)), DONE, DataError, "row 1: the user is 1.5; a whole"),
        (SEEN.with_columns(card=pl.lit(1.5)), DONE, SchemaError, "'card' is Float64; text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(seen, done, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        read_logs(seen, done)


def test_files_that_differ_in_columns_are_refused(tmp_path: Path) -> None:
    SEEN.write_parquet(tmp_path / "a.parquet")
    SEEN.drop("views").write_parquet(tmp_path / "b.parquet")
    with pytest.raises(
        SchemaError, match=r"b\.parquet has the columns .*a\.parquet .* must be the same"
    ):
        read_logs(tmp_path, DONE)


def test_an_empty_first_file_decides_nothing(tmp_path: Path) -> None:
    text = SEEN.with_columns(pl.col("timestamp").dt.to_string("%Y-%m-%d %H:%M:%S"))
    text.clear().write_parquet(tmp_path / "a.parquet")
    text.write_parquet(tmp_path / "b.parquet")
    assert same(read_logs(tmp_path, DONE), read_logs(SEEN, DONE))


def test_paths_that_hold_nothing_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; give the path"):
        read_logs(tmp_path / "none", DONE)
    with pytest.raises(DataError, match="holds no table"):
        read_logs(tmp_path, DONE)
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(DataError, match="damaged Parquet file"):
        read_logs(tmp_path, DONE)


@pytest.mark.parametrize("name", ["seen.csv", "SEEN.CSV", "seen.tsv", "seen.csv.gz"])
def test_text_is_read_like_parquet(name: str, tmp_path: Path) -> None:
    separator = "\t" if "tsv" in name else ","
    text = SEEN.write_csv(separator=separator, datetime_format="%Y-%m-%d %H:%M:%S").encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert same(read_logs(tmp_path / name, DONE), read_logs(SEEN, DONE))


def test_users_of_text_are_the_integers_that_they_spell(tmp_path: Path) -> None:
    frame = SEEN.with_columns(user=pl.Series(["7.0", "7", " 8", "8.0", "9"]))
    frame.with_columns(pl.col("timestamp").dt.epoch("s")).write_csv(tmp_path / "seen.csv")
    assert read_logs(tmp_path / "seen.csv", DONE).exposures["user"].unique().sort().to_list() == [
        "7", "8", "9"
    ]  # fmt: skip


def test_passwords_come_from_the_environment_and_go_nowhere(tmp_path, monkeypatch) -> None:
    path = database(tmp_path / "logs.db").removeprefix("sqlite:///")
    monkeypatch.setenv("WHERE", path)
    found = read_logs(Query("sqlite:///${WHERE}", "seen"), DONE)
    assert same(found, read_logs(SEEN, DONE))
    with pytest.raises(SettingsError, match="variable NOT_SET is not set"):
        read_logs(Query("sqlite:///${NOT_SET}", "seen"), DONE)
    monkeypatch.setenv("SECRET", "hunter2")
    for url in (
        "nosuch://me:${SECRET}@host/db",
        "me:${SECRET}@@//host",
        "sqlite://me:${SECRET}@h/x",
        "postgresql+psycopg://me:pa@hunter2/xyz@127.0.0.1:1/db",
    ):
        query = Query(url, "seen")
        with pytest.raises((SettingsError, DataError)) as told:
            read_logs(query, DONE)
        assert "hunter2" not in str(told.value)
        assert "hunter2" not in repr(query)
        assert told.value.__cause__ is None


def test_wrong_queries_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.db does not exist"):
        read_logs(Query(f"sqlite:///{tmp_path / 'none.db'}", "seen"), DONE)
    assert not (tmp_path / "none.db").exists()
    url = database(tmp_path / "logs.db")
    with pytest.raises(DataError, match="cannot be read: no such table: missing"):
        read_logs(Query(url, "missing"), DONE)
    with pytest.raises(DataError, match=r"cannot be read: .*syntax error"):
        read_logs(Query(url, "SELECT FROM WHERE"), DONE)
    with pytest.raises(EmptyDataError, match="no exposures"):
        read_logs(Query(url, "SELECT * FROM seen WHERE views > 100"), DONE)


def test_a_missing_sqlalchemy_is_told(monkeypatch) -> None:
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nearfar\[sql\]'"):
        list(open_sources(Query("sqlite://", "x")))


def test_hours_of_the_day_stay_in_it() -> None:
    seen = SEEN.with_columns(timestamp=pl.Series([moment(0, h) for h in (0, 6, 12, 18, 23)]))
    assert read_logs(seen, DONE).exposures["day"].unique().to_list() == [date(2025, 9, 1)]
