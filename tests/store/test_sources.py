"""Every source hands out the same events, wherever they lie."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nearfar.core.discovery import discover
from nearfar.core.errors import DataError, SchemaError, SettingsError, UnknownNameError
from nearfar.core.settings import build, to_plain
from nearfar.data.log import read_log
from nearfar.store.sources.csv import CSVEvents
from nearfar.store.sources.parquet import ParquetEvents
from nearfar.store.sources.source import PACKAGE, EventSource, find_source, make_source
from nearfar.store.sources.sql import SQLEvents
from nearfar.tables.columns import Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.rows import RowReader, TableRows
from tests.store.cases import SINCE, UNTIL, events, inside, partitioned

COLUMNS = {"user": "buyer", "item": "film", "timestamp": "at", "rating": "stars"}


def into_sqlite(path: Path, frame: pl.DataFrame) -> str:
    columns = ", ".join(f'"{c}"' for c in frame.columns)
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE events ({columns})")
        marks = ", ".join("?" * frame.width)
        connection.executemany(f"INSERT INTO events VALUES ({marks})", frame.rows())
    connection.close()
    return f"sqlite:///{path}"


def into_postgres(url: str, table: str, frame: pl.DataFrame, types: dict[str, str]) -> None:
    import psycopg

    columns = ", ".join(f'"{c}" {types[c]}' for c in frame.columns)
    with psycopg.connect(url) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        connection.execute(f"CREATE TABLE {table} ({columns})")
        with connection.cursor().copy(f"COPY {table} FROM STDIN") as copy:
            for row in frame.rows():
                copy.write_row(row)


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("timestamp").dt.strftime("%Y-%m-%d %H:%M:%S"))


CASES = {
    "parquet": "parquet",
    "partitions": "parquet",
    "csv": "csv",
    "csv folder": "csv",
    "sqlite": "sql",
    "postgres": "sql",
}
"""Places that events are written to -> the kind of source that reads them."""


@pytest.fixture(params=CASES)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> EventSource:
    """The events of `cases`, shuffled, at each kind of place."""
    frame = events().sample(fraction=1, shuffle=True, seed=3)
    path = tmp_path / "events"
    match request.param:
        case "parquet":
            frame.write_parquet(path)
            return ParquetEvents(str(path))
        case "partitions":
            return ParquetEvents(str(partitioned(frame, path)))
        case "csv":
            as_text(frame).write_csv(path)
            return CSVEvents(str(path), block_bytes=4096)
        case "csv folder":
            path.mkdir()
            for i in range(4):
                as_text(frame[i::4]).write_csv(path / f"{i}.csv")
            return CSVEvents(str(path))
        case "sqlite":
            return SQLEvents(into_sqlite(path, as_text(frame)), "events", chunk_rows=7)
        case _:
            url = request.getfixturevalue("postgres")
            types = {"user": "text", "item": "bigint", "timestamp": "timestamptz",
                     "rating": "real"}  # fmt: skip
            table = f"events_{tmp_path.name}".replace("-", "_")
            into_postgres(url.plain_url, table, frame, types)
            return SQLEvents(url.url, table, chunk_rows=7)


def test_the_same_events_are_read_from_every_source(source: EventSource) -> None:
    assert_frame_equal(source.read(SINCE, UNTIL), inside(events()))


def test_one_day_and_no_day(source: EventSource) -> None:
    day = source.read(SINCE, SINCE + timedelta(days=1))
    assert day.height == inside(events()).filter(pl.col("timestamp").dt.date() == SINCE).height
    nothing = source.read(date(2020, 1, 1), date(2020, 1, 2))
    assert nothing.height == 0
    assert nothing.columns[:3] == ["user", "item", "timestamp"]
    assert nothing.schema["timestamp"] == pl.Datetime("us", "UTC")
    with pytest.raises(SettingsError, match="no day"):
        source.read(SINCE, SINCE)


def test_a_log_of_the_events_has_the_same_ids_and_times(source: EventSource) -> None:
    read = source.read(SINCE, UNTIL)
    log = read_log(read)
    assert log.frame["user"].to_list() == read["user"].to_list()
    assert log.frame["item"].to_list() == read["item"].to_list()
    assert log.events["timestamp"].to_list() == read["timestamp"].dt.epoch("s").to_list()


def test_sources_are_found_by_name_and_made_of_settings(tmp_path: Path) -> None:
    missing = set(discover(PACKAGE, EventSource)) - set(CASES.values())
    assert not missing, f"add a case for {missing} to CASES and to the fixture `source`"
    assert find_source("sql") is SQLEvents
    made = make_source("parquet", {"path": str(tmp_path), "columns": {"user": "buyer"}})
    assert made == ParquetEvents(str(tmp_path), Columns(user="buyer"))
    assert build(ParquetEvents, {k: v for k, v in to_plain(made).items() if k != "kind"}) == made
    with pytest.raises(UnknownNameError, match="did you mean 'parquet'"):
        find_source("parqet")
    with pytest.raises(UnknownNameError, match=r"columns\.usr"):
        make_source("parquet", {"path": "x", "columns": {"usr": "buyer"}})


def renamed(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.rename(COLUMNS).with_columns(other=pl.lit(1))


@pytest.mark.parametrize("kind", ["parquet", "csv", "sql"])
def test_columns_can_be_named(kind: str, tmp_path: Path) -> None:
    frame, path = events(), tmp_path / "events.db"
    columns = Columns(**COLUMNS)
    source: EventSource
    if kind == "parquet":
        renamed(frame).write_parquet(path)
        source = ParquetEvents(str(path), columns)
    elif kind == "csv":
        renamed(as_text(frame)).write_csv(path)
        source = CSVEvents(str(path), columns)
    else:
        source = SQLEvents(into_sqlite(path, renamed(as_text(frame))), "events", columns=columns)
    assert_frame_equal(source.read(SINCE, UNTIL), inside(frame))
    wrong = type(source)(**{**vars(source), "columns": Columns(user="customer")})
    with pytest.raises(SchemaError, match="no column 'customer'"):
        wrong.read(SINCE, UNTIL)


@pytest.mark.parametrize("kind", ["parquet", "csv", "sql"])
def test_a_table_without_timestamps_is_refused(kind: str, tmp_path: Path) -> None:
    frame, path = events().drop("timestamp"), tmp_path / "events.db"
    source: EventSource
    if kind == "parquet":
        frame.write_parquet(path)
        source = ParquetEvents(str(path))
    elif kind == "csv":
        frame.write_csv(path)
        source = CSVEvents(str(path))
    else:
        source = SQLEvents(into_sqlite(path, frame), "events")
    with pytest.raises(SchemaError, match=r"columns\.timestamp"):
        source.read(SINCE, UNTIL)


@pytest.mark.parametrize("kind", ["parquet", "csv", "sql"])
def test_nothing_there_is_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "absent"
    made: dict[str, EventSource] = {
        "parquet": ParquetEvents(str(path)),
        "csv": CSVEvents(str(path)),
        "sql": SQLEvents(f"sqlite:///{path}", "events"),
    }
    with pytest.raises(DataError, match=r"absent.*(there is nothing|does not exist)") as caught:
        made[kind].read(SINCE, UNTIL)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def seconds(frame: pl.DataFrame, per_second: int = 1) -> pl.Series:
    return frame["timestamp"].dt.epoch("s") * per_second


FORMS: dict[str, Any] = {
    "seconds": lambda f: seconds(f),
    "float seconds": lambda f: seconds(f) + 0.25,
    "milliseconds": lambda f: seconds(f, 1000),
    "nanoseconds": lambda f: seconds(f, 10**9),
    "ISO with T": lambda f: f["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%S"),
    "ISO with Z": lambda f: f["timestamp"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
    "ISO in a zone": lambda f: (
        f["timestamp"].dt.convert_time_zone("Asia/Tokyo").dt.strftime("%Y-%m-%dT%H:%M:%S%:z")
    ),
    "slashes": lambda f: f["timestamp"].dt.strftime("%Y/%m/%d %H:%M:%S"),
}


@pytest.mark.parametrize("kind", ["parquet", "csv", "sqlite"])
@pytest.mark.parametrize("form", FORMS)
def test_timestamps_of_any_form_are_the_same_moments(form: str, kind: str, tmp_path: Path) -> None:
    frame, path = events(), tmp_path / "events.db"
    given = frame.with_columns(FORMS[form](frame).rename("timestamp"))
    source: EventSource
    if kind == "parquet":
        given.write_parquet(path)
        source = ParquetEvents(str(path))
    elif kind == "csv":
        given.write_csv(path)
        source = CSVEvents(str(path))
    else:
        source = SQLEvents(into_sqlite(path, given), "events")
    assert_frame_equal(source.read(SINCE, UNTIL), inside(frame))


@pytest.mark.parametrize(
    "kind",
    [pl.Datetime("ns"), pl.Datetime("ms"), pl.Datetime("us", "America/New_York")],
    ids=str,
)
def test_moments_of_parquet_in_any_unit_and_zone(kind: pl.Datetime, tmp_path: Path) -> None:
    frame = events()
    moment = pl.col("timestamp")
    if kind.time_zone is not None:
        moment = moment.dt.convert_time_zone(kind.time_zone)
    else:
        moment = moment.dt.replace_time_zone(None)
    frame.with_columns(moment.cast(kind)).write_parquet(tmp_path / "events")
    read = ParquetEvents(str(tmp_path / "events")).read(SINCE, UNTIL)
    assert_frame_equal(read, inside(frame))


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "bigint", "numeric", "text", "date"])
def test_timestamps_of_postgres_of_any_type(kind: str, postgres: Any, tmp_path: Path) -> None:
    frame = events()
    form = {"bigint": "milliseconds", "numeric": "milliseconds", "text": "ISO in a zone"}
    given = frame
    if kind in form:
        given = frame.with_columns(FORMS[form[kind]](frame).rename("timestamp"))
    if kind == "date":
        frame = frame.with_columns(pl.col("timestamp").dt.truncate("1d"))
        frame = frame.sort("timestamp", "user", "item", "rating")
    table = f"times_{kind}"
    types = {"user": "text", "item": "integer", "timestamp": kind, "rating": "numeric"}
    into_postgres(postgres.plain_url, table, given, types)
    assert_frame_equal(SQLEvents(postgres.url, table).read(SINCE, UNTIL), inside(frame))


def test_a_query_is_read_with_the_window_around_it(postgres: Any, tmp_path: Path) -> None:
    frame = events()
    query = """
        WITH recent AS (SELECT *, '12:30'::text AS clock FROM {} WHERE rating >= 3)
        SELECT "user" AS who, item AS what, "timestamp" AS at, 'a:b' AS other, 7 % 4 AS rest
        FROM recent;
    """
    types = {"user": "text", "item": "bigint", "timestamp": "timestamptz", "rating": "real"}
    into_postgres(postgres.plain_url, "queried", frame, types)
    columns = Columns("who", "what", None, "at")
    source = SQLEvents(postgres.url, query=query.format("queried"), columns=columns)
    kept = inside(frame).filter(pl.col("rating") >= 3).drop("rating")
    assert_frame_equal(source.read(SINCE, UNTIL), kept)


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_database_filters_and_hands_out_chunks(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = events()
    if kind == "sqlite":
        given = frame.with_columns(FORMS["seconds"](frame).rename("timestamp"))
        url = into_sqlite(tmp_path / "events.db", given)
    else:
        server = request.getfixturevalue("postgres")
        types = {"user": "text", "item": "bigint", "timestamp": "timestamp", "rating": "real"}
        into_postgres(server.plain_url, "events", frame, types)
        url = server.url
    fetched: list[int] = []
    read_block = RowReader.read

    def counted(self: RowReader, frame: pl.DataFrame, first_row: int) -> TableRows:
        fetched.append(frame.height)
        return read_block(self, frame, first_row)

    monkeypatch.setattr(RowReader, "read", counted)
    read = SQLEvents(url, "events", chunk_rows=50).read(SINCE, UNTIL)
    assert sum(fetched) == read.height == inside(frame).height
    assert max(fetched) == 50


def test_partitions_outside_the_window_are_never_read(tmp_path: Path) -> None:
    folder = partitioned(events(), tmp_path / "events")
    for day in (SINCE - timedelta(days=1), UNTIL):
        (folder / f"date={day}" / "events.parquet").write_bytes(b"no parquet")
    unreadable = folder / "date=2026-01-01" / "date=nonsense"
    unreadable.mkdir(parents=True)
    source = ParquetEvents(str(folder))
    assert_frame_equal(source.read(SINCE, UNTIL), inside(events()))
    with pytest.raises(DataError, match="not a whole Parquet file"):
        source.read(SINCE, UNTIL + timedelta(days=1))
    with pytest.raises(DataError, match="'date=nonsense' names no day"):
        source.read(date(2026, 1, 1), UNTIL)


def test_a_partition_is_read_whole_and_may_lie_deep_or_be_called_otherwise(tmp_path: Path) -> None:
    late = events().filter(pl.col("timestamp") < datetime(2026, 3, 2, tzinfo=UTC))
    far = SINCE + timedelta(days=1)
    folder = tmp_path / "events" / "country=be" / f"dt={far}" / "hour=03"
    folder.mkdir(parents=True)
    late.write_parquet(folder / "part.parquet")
    (folder / "_SUCCESS").touch()
    (folder / ".part.parquet.crc").write_bytes(b"x")
    read = ParquetEvents(str(tmp_path / "events"), partition="dt").read(SINCE, UNTIL)
    assert_frame_equal(read, late)
    assert (
        ParquetEvents(str(tmp_path / "events"), partition="dt")
        .read(UNTIL, UNTIL + timedelta(days=1))
        .is_empty()
    )


def test_parquet_is_read_from_any_address_of_fsspec(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    folder = partitioned(events(), tmp_path / "events")
    memory.put(str(folder), "/shop/events", recursive=True)
    try:
        source = ParquetEvents("memory://shop/events")
        assert_frame_equal(source.read(SINCE, UNTIL), inside(events()))
        with pytest.raises(DataError, match="does not exist"):
            ParquetEvents("memory://shop/other").read(SINCE, UNTIL)
    finally:
        memory.rm("/shop", recursive=True)
    with pytest.raises(DataError, match="cannot open"):
        ParquetEvents("nosuch://shop/events").read(SINCE, UNTIL)


def test_what_cannot_be_read_is_missing_and_rows_without_a_time_stay(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "user,item,timestamp,rating\n"
        "1,10,soon,4\n"
        "2,10,2026-03-02 10:00:00,four\n"
        ",10,2026-03-02 11:00:00,4\n"
        "4,,2026-03-02 12:00:00,4\n"
        "5,10,,4\n"
        "6,10,2026-03-09 12:00:00,4\n"
    )
    read = CSVEvents(str(path)).read(SINCE, UNTIL)
    assert read["user"].to_list() == [1, 5, 2, None, 4]
    assert read["timestamp"].null_count() == 2
    assert read["rating"].to_list() == [4, 4, None, 4, 4]
    assert read["item"].null_count() == 1


def test_ids_of_text_files_follow_the_rules_of_logs(tmp_path: Path) -> None:
    def read(*users: str) -> list[Any]:
        rows = "".join(f"{u},5,2026-03-02\n" for u in users)
        (tmp_path / "events.csv").write_text("user,item,timestamp\n" + rows)
        return CSVEvents(str(tmp_path / "events.csv")).read(SINCE, UNTIL)["user"].to_list()

    assert read("7", "-12") == [-12, 7]
    assert read("7", "007") == ["007", "7"]
    assert read("7", "99999999999999999999") == ["7", "99999999999999999999"]
    assert read("7", "7.0", "x") == ["7", "7", "x"]
    with pytest.raises(DataError, match="scientific notation"):
        read("7", "1.23457e+06")


def test_ids_of_two_kinds_in_two_files_are_refused(tmp_path: Path) -> None:
    frame = events()
    frame.write_parquet(tmp_path / "a.parquet")
    frame.with_columns(user=pl.int_range(pl.len())).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(SchemaError, match=r"b\.parquet.*user ids are integers.*text"):
        ParquetEvents(str(tmp_path)).read(SINCE, UNTIL)


def test_whole_numbers_and_text_that_spells_them_are_one_kind_of_id(tmp_path: Path) -> None:
    frame = events().with_columns(user=pl.int_range(pl.len(), dtype=pl.Int64))
    frame.write_parquet(tmp_path / "a.parquet")
    expected = ParquetEvents(str(tmp_path)).read(SINCE, UNTIL)["user"].unique().sort()
    frame.with_columns(pl.col("user").cast(pl.String)).write_parquet(tmp_path / "b.parquet")
    read = ParquetEvents(str(tmp_path)).read(SINCE, UNTIL)
    assert read["user"].unique().sort().to_list() == expected.to_list()


def test_a_column_that_only_some_files_have_stops_nothing(tmp_path: Path) -> None:
    frame = events()
    half = frame.height // 2
    frame[:half].drop("rating").write_parquet(tmp_path / "a.parquet")
    later = frame[half:].with_columns(plays=pl.lit(0))
    later.write_parquet(tmp_path / "b.parquet")
    report = ReadReport()
    read = ParquetEvents(str(tmp_path)).read(SINCE, UNTIL, report)
    assert read.columns == ["user", "item", "timestamp", "weight"]
    assert read.height == inside(frame).height
    n_zero = inside(later.drop("plays")).height
    assert read["weight"].value_counts().sort("weight").rows() == [
        (0.0, n_zero), (1.0, read.height - n_zero)
    ]  # fmt: skip
    assert len(report.remarks) == 2
    assert "no weight" in report.remarks[0]
    assert "ratings are left out" in report.remarks[1]
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    later.write_parquet(swapped / "a.parquet")
    frame[:half].drop("rating").write_parquet(swapped / "b.parquet")
    assert_frame_equal(ParquetEvents(str(swapped)).read(SINCE, UNTIL), read)


def test_a_column_with_nothing_in_it_is_missing(tmp_path: Path) -> None:
    frame = events()
    frame.write_parquet(tmp_path / "a.parquet")
    frame.with_columns(user=None, rating=None).write_parquet(tmp_path / "b.parquet")
    read = ParquetEvents(str(tmp_path)).read(SINCE, UNTIL)
    assert read["user"].null_count() == read["rating"].null_count() == inside(frame).height
    assert read.schema["user"] == pl.String


def test_a_time_in_milliseconds_among_seconds_is_unreadable_and_moves_no_other(
    tmp_path: Path,
) -> None:
    frame = pl.DataFrame(
        {"user": [1, 2, 3], "item": [1, 2, 3], "timestamp": [1772500000, 1772500000000, 1772500001]}
    )
    path = tmp_path / f"date={SINCE}" / "events.parquet"
    path.parent.mkdir()
    frame.write_parquet(path)
    for unit in ("s", "auto"):
        read = ParquetEvents(str(tmp_path), time_unit=unit).read(SINCE, UNTIL)
        assert read["timestamp"].dt.year().to_list() == [None, 2026, 2026]
        assert read["user"].to_list() == [2, 1, 3]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", ["parquet", "csv", "sqlite"])
def test_a_unit_that_is_given_is_used(unit: str, kind: str, tmp_path: Path) -> None:
    frame = events()
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    given = frame.with_columns(seconds(frame, ticks).rename("timestamp"))
    path = tmp_path / "events.db"
    source: EventSource
    if kind == "parquet":
        given.write_parquet(path)
        source = make_source("parquet", {"path": str(path), "time_unit": unit})
    elif kind == "csv":
        given.write_csv(path)
        source = make_source("csv", {"path": str(path), "time_unit": unit})
    else:
        url = into_sqlite(path, given)
        source = make_source("sql", {"url": url, "table": "events", "time_unit": unit})
    assert_frame_equal(source.read(SINCE, UNTIL), inside(frame))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingsError, match="either a table or a query"):
        SQLEvents("sqlite:///x.db")
    with pytest.raises(SettingsError, match="either a table or a query"):
        SQLEvents("sqlite:///x.db", "events", "SELECT 1")
    with pytest.raises(SettingsError, match="chunk_rows"):
        SQLEvents("sqlite:///x.db", "events", chunk_rows=0)
    with pytest.raises(SettingsError, match="partition"):
        ParquetEvents("x", partition="a=b")
    with pytest.raises(SettingsError, match="not the URL of a database"):
        SQLEvents("events.db", "events").check()
    with pytest.raises(DataError, match="from paths only"):
        CSVEvents("s3://shop/events").check()


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    frame = events()
    url = into_sqlite(tmp_path / "days.db", frame.with_columns(timestamp=pl.lit("monday")))
    with pytest.raises(SchemaError, match="cannot order by time"):
        SQLEvents(url, "events").read(SINCE, UNTIL)
    with pytest.raises(DataError, match="no such table: absent"):
        SQLEvents(url, "absent").read(SINCE, UNTIL)
    url = into_sqlite(tmp_path / "mixed.db", frame.with_columns(pl.col("timestamp").dt.epoch("s")))
    with sqlite3.connect(tmp_path / "mixed.db") as connection:
        connection.execute("UPDATE events SET user = 5 WHERE rating = 3")
    connection.close()
    with pytest.raises(SchemaError, match="of several types"):
        SQLEvents(url, "events").read(SINCE, UNTIL)


def days_written(folder: Path, kind: str) -> list[str]:
    """A folder per day, called after it alone, with a broken file in one outside the window."""
    frame = events()
    days = frame["timestamp"].dt.date().unique().sort().to_list()
    for day in days:
        (folder / f"{day}").mkdir(parents=True)
        of_day = frame.filter(pl.col("timestamp").dt.date() == day)
        path = folder / f"{day}" / f"part.{kind}"
        _ = of_day.write_parquet(path) if kind == "parquet" else as_text(of_day).write_csv(path)
    outside = folder / f"{SINCE - timedelta(days=500)}"
    outside.mkdir()
    (outside / f"broken.{kind}").write_bytes(b"\x00 not a table")
    return [str(day) for day in days]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_folders_called_after_days_alone_are_read_for_the_window_only(
    kind: str, tmp_path: Path
) -> None:
    days_written(tmp_path / "events", kind)
    path = str(tmp_path / "events")
    found = make_source(kind, {"path": path}).read(SINCE, UNTIL)
    inside_days = found["timestamp"].dt.date().unique().sort().to_list()
    assert found.height == inside(events()).height
    assert inside_days[0] >= SINCE
    with pytest.raises(DataError):  # names mean nothing: the broken file is read too
        make_source(kind, {"path": path, "partition": ""}).read(SINCE, UNTIL)


def test_a_source_that_is_not_there_and_a_column_that_is_misspelt_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="evnts does not exist; give the path"):
        CSVEvents(str(tmp_path / "evnts")).read(SINCE, UNTIL)
    as_text(events()).write_csv(tmp_path / "events.csv")
    columns = Columns(user="usr")
    with pytest.raises(SchemaError, match=r"no column 'usr' for the user; did you mean 'user'\?"):
        CSVEvents(str(tmp_path / "events.csv"), columns).read(SINCE, UNTIL)
