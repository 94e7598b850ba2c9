"""Folders and files per day, as programs write them: local days, other names, other exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.store.contracts import Contract
from nearfar.store.sources.source import make_source
from nearfar.tables.report import ReadReport

SINCE, UNTIL = date(2026, 11, 10), date(2026, 11, 17)
NEXT_DAY = timedelta(days=1)
PER_DAY = 24


def a_day(day: date) -> pl.DataFrame:
    """An event per hour, in UTC."""
    start = datetime(day.year, day.month, day.day, 0, 30, tzinfo=UTC)
    times = [start + timedelta(hours=hour) for hour in range(PER_DAY)]
    return pl.DataFrame(
        {"user_id": list(range(PER_DAY)), "item_id": [100 + n for n in range(PER_DAY)],
         "timestamp": times}
    )  # fmt: skip


def days() -> list[date]:
    """The window, and three days before and after it."""
    return [SINCE + timedelta(days=n) for n in range(-3, 10)]


def write(frame: pl.DataFrame, folder: Path, kind: str, name: str = "part") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "parquet":
        frame.write_parquet(folder / f"{name}.parquet")
    else:
        frame.write_csv(folder / f"{name}.csv")


def rows_of(kind: str, folder: Path, **settings: object) -> tuple[pl.DataFrame, ReadReport]:
    """What the contract accepts of the window; it refuses nothing."""
    report = ReadReport()
    source = make_source(kind, {"path": str(folder), **settings})
    events = source.read(SINCE, UNTIL, report)
    checked = Contract(max_misdated_share=0).check(events, SINCE, UNTIL)
    return checked.events, report


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles", "Europe/Berlin"])
def test_folders_of_local_days_lose_no_event(zone: str, kind: str, tmp_path: Path) -> None:
    events = pl.concat(map(a_day, days()))
    local = pl.col("timestamp").dt.convert_time_zone(zone).dt.date()
    for (day,), rows in events.group_by(local):
        write(rows, tmp_path / f"date={day}", kind)
    read, report = rows_of(kind, tmp_path)
    assert read.height == 7 * PER_DAY
    assert read["timestamp"].dt.date().unique().sort().to_list() == days()[3:10]
    assert any("named after days of another time zone" in r for r in report.remarks)
    if zone == "Asia/Tokyo":
        assert any(f"that of {UNTIL} is read too" in r for r in report.remarks)


def test_events_far_from_the_day_of_their_folder_are_left_to_the_contract(tmp_path: Path) -> None:
    for day in days():
        write(a_day(day), tmp_path / f"date={day}", "parquet")
    write(a_day(SINCE - 3 * NEXT_DAY), tmp_path / f"date={SINCE}", "parquet", "old")
    source = make_source("parquet", {"path": str(tmp_path)})
    checked = Contract(max_misdated_share=0.2, max_rejected_share=1).check(
        source.read(SINCE, UNTIL), SINCE, UNTIL
    )
    assert checked.report.rejected == {"before the window": PER_DAY}


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize(
    "name",
    [
        "date={}",
        "date={} 00:00:00",
        "date={}T00%3A00%3A00",
        "date={}-00",
        "date={}T00",
    ],
)
def test_a_time_in_the_name_of_a_folder_belongs_to_its_day(
    name: str, kind: str, tmp_path: Path
) -> None:
    for day in days():
        write(a_day(day), tmp_path / name.format(day), kind)
    assert rows_of(kind, tmp_path)[0].height == 7 * PER_DAY


def test_a_folder_of_missing_days_is_read_by_its_times(tmp_path: Path) -> None:
    for day in days():
        missing = day == UNTIL - NEXT_DAY
        name = "__HIVE_DEFAULT_PARTITION__" if missing else str(day)
        write(a_day(day), tmp_path / f"date={name}", "parquet")
    assert rows_of("parquet", tmp_path)[0].height == 7 * PER_DAY


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_folders_of_year_month_and_day_are_the_time_of_events_without_one(
    kind: str, tmp_path: Path
) -> None:
    for day in days():
        folder = tmp_path / f"year={day.year}" / f"month={day.month}" / f"day={day.day:02}"
        write(a_day(day).drop("timestamp"), folder, kind)
    read, report = rows_of(kind, tmp_path)
    assert read["timestamp"].dt.date().value_counts(sort=True)["count"].to_list() == [PER_DAY] * 7
    assert report.unused_columns == []
    with_times = tmp_path / "with times"
    write(a_day(SINCE), with_times / "year=1999" / "month=1" / "day=1", kind)
    read, report = rows_of(kind, with_times)
    assert read["timestamp"].to_list() == a_day(SINCE)["timestamp"].to_list()
    assert report.unused_columns == ["year", "month", "day"]


def test_a_folder_that_names_no_day_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(a_day(SINCE), tmp_path / "date=W46", "parquet")
    with pytest.raises(DataError, match='set partition = "" to read all folders'):
        rows_of("parquet", tmp_path)
    assert rows_of("parquet", tmp_path, partition="")[0].height == PER_DAY


def as_json(frame: pl.DataFrame) -> list[dict[str, object]]:
    return [{**row, "timestamp": row["timestamp"].isoformat()} for row in frame.to_dicts()]


@pytest.mark.parametrize(
    "text",
    [
        lambda rows: json.dumps(rows),
        lambda rows: "\n".join(map(json.dumps, rows)),
        lambda rows: json.dumps({"count": len(rows), "date": "2020-01-01", "events": rows}),
    ],
    ids=["array", "lines", "an object with the list"],
)
def test_a_json_file_per_day(text: Callable[[list], str], tmp_path: Path) -> None:
    for day in days():
        (tmp_path / f"{day}.json").write_text(text(as_json(a_day(day))))
    (tmp_path / "manifest.json").write_text('{"version": 3}')
    read, report = rows_of("csv", tmp_path)
    assert read["timestamp"].to_list() == [t for d in days()[3:10] for t in a_day(d)["timestamp"]]
    assert report.skipped_files == ["manifest.json"]


def test_json_notes_beside_other_files_are_not_read(tmp_path: Path) -> None:
    for day in days():
        write(a_day(day), tmp_path, "csv", str(day))
    (tmp_path / "a.json").write_text('{"fields": [{"name": "user_id"}, {"name": "item_id"}]}')
    (tmp_path / "schema.json").write_text('[{"name": "user_id"}, {"name": "item_id"}]')
    read, report = rows_of("csv", tmp_path)
    assert read.height == 7 * PER_DAY
    assert report.skipped_files == ["a.json", "schema.json"]


def test_a_folder_without_files_of_the_source_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(EmptyDataError, match=r"no file that this kind of source reads$"):
        rows_of("csv", tmp_path)
    for n in range(5):
        (tmp_path / f"{n}.zip").touch()
    with pytest.raises(EmptyDataError, match=r"reads, only 0\.zip, 1\.zip, 2\.zip and 2 more"):
        rows_of("csv", tmp_path)


EXPORTS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "seconds": lambda t: t.dt.epoch("s"),
    "milliseconds": lambda t: t.dt.epoch("ms"),
    "dates": lambda t: t.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
}


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
@pytest.mark.parametrize("first", EXPORTS)
@pytest.mark.parametrize("second", EXPORTS)
def test_a_file_of_another_export_has_its_own_unit(
    first: str, second: str, kind: str, tmp_path: Path
) -> None:
    for n, day in enumerate(days()):
        export = EXPORTS[first if n < 8 else second]
        frame = a_day(day).with_columns(export(pl.col("timestamp")))
        if kind == "jsonl":
            frame.write_ndjson(tmp_path / f"{day}.jsonl")
        else:
            write(frame, tmp_path, kind, str(day))
    read, _ = rows_of("parquet" if kind == "parquet" else "csv", tmp_path)
    assert read["timestamp"].sort().to_list() == [
        time for day in days()[3:10] for time in a_day(day)["timestamp"]
    ]


def test_a_file_that_spells_its_columns_otherwise_is_read(tmp_path: Path) -> None:
    for n, day in enumerate(days()):
        names = {"user_id": "User_ID", "item_id": "itemId"} if n % 2 else {}
        write(a_day(day).rename(names), tmp_path, "csv", str(day))
    assert rows_of("csv", tmp_path)[0].height == 7 * PER_DAY


def test_a_file_with_other_columns_is_refused_beside_the_first_one(tmp_path: Path) -> None:
    write(a_day(SINCE), tmp_path, "csv", "a")
    write(a_day(SINCE).rename({"user_id": "customer_id"}), tmp_path, "csv", "b")
    told = r"b\.csv has no column 'user_id'.* a\.csv has 'user_id' and 'item_id' and 'timestamp': "
    with pytest.raises(SchemaError, match=told.replace(" a", ".*a")):
        rows_of("csv", tmp_path)
