"""Files that hold more than one table: refused, or told with counts, and never read as one."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.store.sources.csv import CSVEvents
from nearfar.store.sources.parquet import ParquetEvents
from nearfar.tables.columns import Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.table import ReadOptions

EVENTS = "user_id,item_id,timestamp\n" + "".join(
    f"{user},{item},{1_700_000_000 + user * 100 + item}\n"
    for user in range(1, 6)
    for item in range(10, 14)
)
PAIRS = "user_id,item_id\nu1,i10\nu1,i11\nu2,i10\nu3,i12\n"


def log_of(folder: Path, text: str, **options: object) -> nf.Log:
    path = folder / "log.csv"
    path.write_text(text)
    return nf.read_log(path, **options)  # pyright: ignore[reportArgumentType]


def told(log: nf.Log) -> str:
    assert log.read is not None
    return "\n".join(log.read.lines())


@pytest.mark.parametrize("block_bytes", [40, 1 << 20])
@pytest.mark.parametrize(
    ("text", "row"),
    [
        (EVENTS + "\nitem_id,price,stock\n10,30,1700000010\n11,33,1700000011\n", 21),
        (EVENTS + "item_id,price,stock\n10,30,1700000010\n", 21),
        (PAIRS + "\nitem_id,stock\ni10,3\n", 5),
        (PAIRS + "item_id,stock\ni10,3\n", 5),
        (PAIRS + "\nuser_id,age\nu1,33\n", 5),
        (PAIRS + "\nsku,price\nA-1,3.5\n", 5),
        (PAIRS + ",\nsku,price\nA-1,3.5\n", 5),
        (PAIRS + '\n"Product name","Category"\ni10,toys\n', 5),
    ],
)
def test_a_second_table_in_a_file_is_refused(
    text: str, row: int, block_bytes: int, tmp_path: Path
) -> None:
    options = ReadOptions(block_bytes=block_bytes)
    with pytest.raises(DataError, match=f"row {row}: this is the header of another table"):
        log_of(tmp_path, text, options=options, drop_bad_rows=True)


@pytest.mark.parametrize(
    "text",
    [
        "user,item\nalice,book\n\nbob,song\nuser,10\n",  # words that also name columns
        "user_id,item_id\nu1,Title\nu2,Country\nu3,user\n",
        "user_id,item_id\n1,10\n\nuser_id,item_id\n2,10\n",  # the same header again
    ],
)
def test_values_that_could_be_names_are_values(text: str, tmp_path: Path) -> None:
    assert log_of(tmp_path, text).n_events == text.count("\n") - 1 - 2 * ("\n\nuser_id" in text) - (
        "\n\nbob" in text
    )


def test_a_blank_line_inside_is_told(tmp_path: Path) -> None:
    log = log_of(tmp_path, PAIRS + "\nworum,was\nx,y\n")
    assert "there is a blank line between rows of" in told(log)
    assert "above row 5 of 6" in told(log)
    assert "blank line" not in told(log_of(tmp_path, PAIRS + "\n\n"))
    assert "blank line" not in told(log_of(tmp_path, PAIRS.replace("\n", "\n\n")))


def test_a_blank_line_is_told_among_quotes_and_blocks_too(tmp_path: Path) -> None:
    text = PAIRS.replace("u3,i12", '"u3",i12') + '\n"x",y\n"z",y\n'
    assert "above row 5 of 6" in told(log_of(tmp_path, text))
    assert "above row 5 of 6" in told(log_of(tmp_path, text, options=ReadOptions(block_bytes=20)))


@pytest.mark.parametrize("word", ["Total", "Grand Total", "Gesamtergebnis", "u1 Total"])
def test_a_footer_of_totals_is_told(word: str, tmp_path: Path) -> None:
    log = log_of(tmp_path, PAIRS + f"{word},4\n")
    assert f"1 event of user {word!r}" in told(log)
    assert "a line of totals" not in told(log_of(tmp_path, PAIRS + "u9,Total Recall\n"))


def test_a_pipeline_tells_totals_too(tmp_path: Path) -> None:
    rows = "".join(f"u{n},i1,2024-05-01\n" for n in range(3))
    (tmp_path / "a.csv").write_text(f"user,item,date\n{rows}Total,3,2024-05-01\n")
    report = ReadReport()
    CSVEvents(str(tmp_path)).read(date(2024, 5, 1), date(2024, 6, 1), report)
    assert any(remark.startswith("1 event of user 'Total'") for remark in report.remarks)


def parquet_of(folder: Path, values: dict[str, list], name: str) -> None:
    path = folder / name / "part.parquet"
    path.parent.mkdir(parents=True)
    pl.DataFrame({"user": [1, 2, 3], "item": [4, 5, 6], **values}).write_parquet(path)


DAY = 1_704_412_800


@pytest.mark.parametrize(
    ("values", "n_differing"),
    [
        ([date(2024, 1, 5), date(2024, 1, 5), date(2023, 12, 31)], 1),
        (["2024-01-05", "2024-01-05", "2024-01-06"], 1),
        ([datetime(2024, 1, 5, 9), datetime(2024, 1, 4, 23), None], 2),
        ([DAY, DAY + 86_399, DAY + 86_400], 1),
        ([DAY * 1000, DAY * 1000 + 5, DAY * 1000 - 1], 1),
    ],
)
def test_a_folder_that_says_another_day_than_its_file_is_told(
    values: list, n_differing: int, tmp_path: Path
) -> None:
    parquet_of(tmp_path, {"date": values}, "date=2024-01-05")
    log = nf.read_log(tmp_path, drop_bad_rows=True)
    what = "'date' read from the files, although the names of their folders give another value"
    assert log.read is not None
    assert log.read.converted[what] == n_differing
    assert f"{what}: {n_differing} values" in told(log)


def test_folders_and_files_that_agree_are_not_told(tmp_path: Path) -> None:
    for user in (1, 2):
        parquet_of(tmp_path, {"user": [user] * 3}, f"user=0{user}")
    log = nf.read_log(tmp_path)
    assert log.n_events == 6
    assert "names of their folders" not in told(log)


@pytest.mark.parametrize("column", ["dt", "ds", "date"])
def test_a_day_in_the_name_of_a_folder_is_the_time(column: str, tmp_path: Path) -> None:
    for day in ("2024-01-05", "2024-01-06"):
        folder = tmp_path / f"{column}={day}"
        folder.mkdir()
        rows = [{"user_id": 1, "item_id": 2}, {"user_id": 1, "item_id": 3}]
        (folder / "page.json").write_text(json.dumps({"events": rows}))
    assert nf.read_log(tmp_path).frame["timestamp"].unique().sort().to_list() == [
        1_704_412_800, 1_704_499_200
    ]  # fmt: skip


def test_a_pipeline_counts_days_that_are_not_their_folders(tmp_path: Path) -> None:
    parquet_of(tmp_path, {"date": [date(2024, 1, 5)] * 2 + [date(2024, 1, 6)]}, "date=2024-01-05")
    report = ReadReport()
    events = ParquetEvents(str(tmp_path), columns=Columns(timestamp="date"))
    events.read(date(2024, 1, 1), date(2024, 2, 1), report)
    assert sum(report.converted.values()) == 1
