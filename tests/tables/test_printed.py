"""Tables as programs print them: ruled lines, and row names without a header."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.tables.dialect import TextOptions
from nearfar.tables.table import ReadOptions

PSQL = """\
 user_id | item_id |     ts
---------+---------+------------
       1 |       2 | 1700000000
       1 |       3 | 1700000060
       2 |       3 | 1700000120
(3 rows)

"""
MYSQL = """\
+---------+---------+------------+
| user_id | item_id | ts         |
+---------+---------+------------+
|       1 |       2 | 1700000000 |
|       1 |       3 | 1700000060 |
|       2 |       3 | 1700000120 |
+---------+---------+------------+
3 rows in set (0.00 sec)
"""
MARKDOWN = """\
| user_id | item_id | ts |
|:--|:-:|--:|
| 1 | 2 | 1700000000 |
| 1 | 3 | 1700000060 |
| 2 | 3 | 1700000120 |
"""
SQLCMD = """\
user_id     item_id     ts
----------- ----------- ------------
          1           2   1700000000
          1           3   1700000060
          2           3   1700000120

(3 rows affected)
"""
SQLCMD_COMMAS = """\
user_id,item_id,ts
-------,-------,--
1,2,1700000000
1,3,1700000060
2,3,1700000120

(3 rows affected)
"""
ROWS = [(1, 2, 1_700_000_000), (1, 3, 1_700_000_060), (2, 3, 1_700_000_120)]
FRAME = pl.DataFrame(ROWS, schema=["user_id", "item_id", "ts"], orient="row")


def read(text: str, folder: Path, **settings) -> nf.Log:
    path = folder / "log.txt"
    path.write_text(text, encoding="utf-8")
    return nf.read_log(path, **settings)


@pytest.mark.parametrize(
    "text", [PSQL, MYSQL, MARKDOWN, SQLCMD, SQLCMD_COMMAS, str(FRAME)],
    ids=["psql", "mysql", "markdown", "sqlcmd", "sqlcmd-commas", "polars"],
)  # fmt: skip
@pytest.mark.parametrize("block_bytes", [40, 1 << 20])
def test_ruled_tables(text: str, block_bytes: int, tmp_path: Path) -> None:
    log = read(text, tmp_path, options=ReadOptions(block_bytes=block_bytes))
    assert log.frame.select("user", "item", "timestamp").rows() == ROWS
    assert log.read is not None
    assert log.read.layout == "printed with ruled lines"


def test_text_in_aligned_columns_keeps_its_blanks(tmp_path: Path) -> None:
    text = (
        "user  film          at\n----- ------------- ----------\nann   The Matrix    2024-01-01\n"
    )
    log = read(text + "\nbob l Heat          2024-01-02\n", tmp_path)
    assert log.frame.select("user", "item").rows() == [("ann", "The Matrix"), ("bob l", "Heat")]


def test_cells_that_are_not_below_their_rules_are_refused(tmp_path: Path) -> None:
    text = "user  item  at\n----- ----- ----------\nann-marie 7 2024-01-01\n"
    with pytest.raises(DataError, match="not below the ruled lines"):
        read(text, tmp_path)


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"user": range(100), "item": range(100)}),
        pl.DataFrame({"user": ["a" * 60, "b"], "item": ["x", "y"]}),
    ],
    ids=["rows", "cells"],
)
def test_what_was_printed_in_part_is_refused(frame: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="printed in part"):
        read(str(frame), tmp_path)


def test_a_row_of_dashes_in_a_csv_file_is_a_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: the user is '-'"):
        read("user,item\n-,-\n1,2\n", tmp_path)


def test_a_separator_set_by_the_caller_keeps_ruled_lines(tmp_path: Path) -> None:
    options = ReadOptions(text=TextOptions(separator="|"))
    with pytest.raises(DataError, match="row 1"):
        read(PSQL, tmp_path, options=options)


@pytest.mark.parametrize("separator", [" ", ",", "\t"])
def test_row_names_of_r_are_no_column_of_the_log(separator: str, tmp_path: Path) -> None:
    lines = ['"user" "item" "name"', '"1" 7 5 "a b"', '"2" 7 6 "c ""d"""', '"3" 8 5 "e"']
    text = "\n".join([*lines, ""]).replace(" ", separator).replace(f"a{separator}b", "a b")
    log = read(text, tmp_path)
    assert log.frame.select("user", "item").rows() == [(7, 5), (7, 6), (8, 5)]
    assert log.read is not None
    assert "a number before each row" in log.read.layout


@pytest.mark.parametrize("rows", ["1,7,3\n2,8,4\n5,6,7\n", "1,7,3\n2,8,4\n"])
def test_a_cell_more_that_counts_no_rows_is_refused(rows: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the row has 3 cells; expected 2"):
        read("user,item\n" + rows, tmp_path)
