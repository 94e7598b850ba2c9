"""Inputs that once gave an answer that looked right and was wrong."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from nearfar.core.errors import DataError, NearfarError, SettingsError
from nearfar.data.filters import Filters
from nearfar.data.log import read_log
from nearfar.store.sources.sql import SQLEvents
from nearfar.tables.table import ReadOptions

MAY = (date(2024, 5, 1), date(2024, 6, 1))
START = 1_714_600_000


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_csv", ".csv").replace("_txt", ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


REFUSED = {
    "a row with a cell too many, in a column not read": (
        'user,title,item,rating\n1,Alien,10,5\n2,"Good, Bad",11,5\n3,Tiger, Dragon,12,5\n', "row 3"
    ),
    "the same without quotes, late in a block": (
        "user,item,r\n" + "1,10,5\n" * 500 + "2,11,4,9\n", "row 501: the row has 4 cells"
    ),
    "an extra cell after an empty one": ("user,item,r\n1,10,5\n2,11,4,,9\n", "row 2"),
    "a quote that swallows rows up to the next": (
        'user,item,title\n1,10,"a\n2,11,b"\n3,12,c\n', "row 1: a double quote opens"
    ),
    "many rows swallowed": (
        "user,item,title\n" + "1,2,x\n" * 9 + '5,6,"quoted\n' + "7,8,y\n" * 99 + '9,1,24"\n2,3,z\n',
        "row 10: a double quote opens a cell that spans 100 more lines",
    ),
    "a title first in its row": (
        'title,user,item\nx,1,2\n"quoted,3,4\ny,5,6\nz,7,8\nold",9,1\n',
        "row 2: a double quote opens",
    ),
    "a header whose quote is not closed": ('user,item,"t\n1,2,x\n2,3,"y"\n', "line 1: the quotes"),
    "a carriage return inside a row": ("user,item,a,b\n1,2\r3,4\n", "row 1: a carriage return"),
    "ids that all stand in quotes": ('user\titem\n"1"\t"2"\n"3"\t"4"\n', "--quoting double"),
    "a rating beyond 32 bits": ("user,item,rating\n1,2,3\n1,3,1e40\n", "row 2: the rating"),
    "an ISO date after numbers": (
        f"user,item,time\n1,2,{START}\n1,3,{START}\n1,4,2024-05-01\n", r"row \d"
    ),
    "a time of the year 3000": (f"user,item,time\n1,2,{START}\n1,3,32503680000\n", "row 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("block_bytes", [30, 1 << 20])
def test_is_refused_by_its_row(name: str, block_bytes: int, tmp_path: Path) -> None:
    text, message = REFUSED[name]
    written(tmp_path, log_csv=text)
    with pytest.raises(DataError, match=message):
        read_log(tmp_path / "log.csv", options=ReadOptions(block_bytes=block_bytes))


def test_a_header_may_run_over_two_lines(tmp_path: Path) -> None:
    written(tmp_path, log_csv='user,item,"ti\ntle",rating\n1,10,a,5\n2,11,b,4\n')
    assert read_log(tmp_path / "log.csv").frame.rows() == [(1, 10, 5.0), (2, 11, 4.0)]


def test_empty_cells_at_the_end_of_a_row_are_no_cells_too_many(tmp_path: Path) -> None:
    written(tmp_path, log_csv="user,item\n1,10,\n2,11,,\n3,12\n")
    assert read_log(tmp_path / "log.csv").n_events == 3


def test_parts_without_a_header_are_not_left_out(tmp_path: Path) -> None:
    written(tmp_path, a_csv="user,item\na,b\n", b_csv="c,d\n")
    with pytest.raises(DataError, match=r"b\.csv has as many columns as a\.csv, but no header"):
        read_log(tmp_path)


def test_deep_folders_and_empty_parts_are_read(tmp_path: Path) -> None:
    written(
        tmp_path, y__m__d__e__part_csv="user,item\n1,2\n", part_csv="user,item\n3,4\n",
        empty_csv="", notes_txt="\xff\xfe nothing to read",
    )  # fmt: skip
    log = read_log(tmp_path)
    assert sorted(log.frame.rows()) == [(1, 2), (3, 4)]


@pytest.mark.parametrize(
    ("first", "second"),
    [(f"{START}", "253402300799"), ("13/01/2024", "01/13/2024"), (f"{START}", "20240501")],
)
def test_one_clock_reads_all_parts(first: str, second: str, tmp_path: Path) -> None:
    rows = "".join(f"{n},2,{first}\n" for n in range(5))
    written(tmp_path, a_csv="user,item,time\n" + rows, b_csv=f"user,item,time\n9,9,{second}\n")
    with pytest.raises(DataError, match=r"b\.csv"):
        read_log(tmp_path)


@pytest.mark.parametrize("time", ["4541.5", "202401", "2019", "7"])
def test_dates_are_not_compared_with_counted_steps(time: str, tmp_path: Path) -> None:
    written(tmp_path, log_csv=f"user,item,time\n1,2,{time}\n2,3,{time}\n")
    assert read_log(tmp_path / "log.csv").n_events == 2
    with pytest.raises(DataError, match="too small for dates"):
        read_log(tmp_path / "log.csv", filters=Filters(until="2024-05-02"))
    assert read_log(tmp_path / "log.csv", filters=Filters(until=10**6)).n_events == 2


def test_known_data_sets_are_not_read_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("196\t242\t881250949\t3\n")
    with pytest.raises(DataError, match="row 1: the rating is 881250949; at most 5"):
        read_log(tmp_path)
    (tmp_path / "u.data").write_text("196\t0242\t3\t881250949\n")
    with pytest.raises(DataError, match="'0242'; an integer"):
        read_log(tmp_path)
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
    with pytest.raises(SettingsError, match="--table"):
        read_log(tmp_path, options=ReadOptions(table="u.item"))


def test_films_are_read_by_their_header(tmp_path: Path) -> None:
    ratings = "userId,movieId,rating,timestamp\n1,7,4.0,964982703\n"
    films = 'genres,title,movieId\nDrama|War,"Sisters, ""The"" (1980)",7\n'
    log = read_log(written(tmp_path, ratings_csv=ratings, movies_csv=films))
    assert log.item_ids.details.rows() == [('Sisters, "The" (1980)', ["Drama", "War"])]
    other = ratings + "x,8,4.0,964982703\n"
    assert read_log(written(tmp_path, ratings_csv=other)).frame["user"].to_list() == ["1", "x"]


def test_comma_separated_train_and_test_are_tables(tmp_path: Path) -> None:
    rows = "user,item\n1,10\n2,11\n"
    assert read_log(written(tmp_path, train_txt=rows, test_txt=rows)).n_events == 4


def test_parts_whose_ids_are_of_two_kinds_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"user": [1], "item": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"user": ["x"], "item": [1]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match="user ids are text here, and integers"):
        read_log(tmp_path)


def test_large_ids_survive_a_missing_one_in_pandas() -> None:
    users = pd.array([2**53, 2**53 + 1, None], dtype="Int64")
    frame = pd.DataFrame({"user": users, "item": [1, 2, 3]})
    assert read_log(frame[:2]).frame["user"].to_list() == [2**53, 2**53 + 1]
    with pytest.raises(DataError, match="row 3: the user is missing"):
        read_log(frame)


@pytest.mark.parametrize("odd", [253402300799, 1_714_600_000_000, "", "soon"])
def test_one_odd_time_in_a_database_moves_no_other(odd, tmp_path: Path) -> None:
    text = isinstance(odd, str)
    times = [START + n * 5 for n in range(9)]
    given = [f"2024-05-0{n % 9 + 1}T10:00:00" for n in range(9)] if text else times
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("CREATE TABLE events (user, item, timestamp)")
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?)", [(n, n, t) for n, t in enumerate([*given, odd])]
        )
    connection.close()
    read = SQLEvents(f"sqlite:///{tmp_path / 'log.db'}", "events").read(*MAY)
    assert read["timestamp"].null_count() == 1
    assert read.height == 10


def test_dates_of_digits_in_a_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("CREATE TABLE events (user, item, timestamp)")
        connection.executemany(
            "INSERT INTO events VALUES (?, ?, ?)",
            [(1, 1, 20240501), (2, 1, 20240601), (3, 1, 20240430)],
        )
    connection.close()
    read = SQLEvents(f"sqlite:///{tmp_path / 'log.db'}", "events").read(*MAY)
    assert read["user"].to_list() == [1]


@pytest.mark.parametrize("encoding", ["base64", "rot13"])
def test_codecs_that_are_no_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    from nearfar.tables.dialect import TextOptions

    written(tmp_path, log_csv="user,item\n1,2\n")
    with pytest.raises(NearfarError, match="unknown encoding"):
        read_log(tmp_path / "log.csv", options=ReadOptions(TextOptions(encoding)))


def test_a_role_may_be_left_out(tmp_path: Path) -> None:
    written(tmp_path, log_csv="user,item,time\n1,2,2024-05-01\n1,3,\n")
    with pytest.raises(DataError, match=r"row 2: the timestamp is missing.*'' for none"):
        read_log(tmp_path / "log.csv")
    assert read_log(tmp_path / "log.csv", timestamp="").n_events == 2
