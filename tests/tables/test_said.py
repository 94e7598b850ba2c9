"""What is read otherwise than it is written, or may not be what it seems, is said and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.store.sources.csv import CSVEvents
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions
from tests.store.cases import SINCE, UNTIL
from tests.tables.test_unseen_logs import sizes, told, written

SPELLINGS = [
    ("007", "7"), ("'7'", "7"), ("'007", "007"), ("a\u00a0b", "a b"), ("an\u200bn", "ann"),
    ("ann  lee", "ann lee"), ("\uff17\uff18", "78"), ("1,234", "1234"), ("+7", "7"), ('"a"', "a"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_ids_that_seem_one_are_kept_apart_and_said(one: str, other: str, tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.tsv", f"user\titem\nx\t{one}\nx\t{other}\nx\tB-12\n"))
    assert sizes(log) == (1, 3, 3)
    assert "1 item ids differ from another id only by blanks," in told(log)
    assert f"such as {one!r} and {other!r}" in told(log)


@pytest.mark.parametrize(("one", "other"), [("a-b", "ab"), ("1-23", "12-3"), ("7.5", "75")])
def test_ids_that_differ_by_signs_are_not_remarked_on(one, other, tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.tsv", f"user\titem\nx\t{one}\nx\t{other}\nx\tB 12\n"))
    assert "kept apart" not in told(log)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,item\n1,7\n2,8\nTotal,2 rows\n", "1 of 3 user ids are not whole numbers"),
        ("user,item\n'12',7\n'13',8\n", "2 user ids are read with the quotes"),
        (
            "user,item\n\u201c12\u201d,7\n\u201c13\u201d,8\n",
            "2 user ids are read with the quotes",
        ),
        ("user,item\na,x\n# part 2, of 3\nb,y\n", "1 user ids begin with '#', such as '# part"),
        ("user,item\nJos\u00c3\u00a9,7\n", "1 user ids look like text in another encoding"),
        ("user,item\nJos\ufffd,7\n", "1 user ids look like text in another encoding"),
        ("user,item\n1,a\n1,b\n2,a|b\n", "1 item ids are other ids joined by '|'"),
        ("user,item\nZoe\u0301,7\n", "accents of user ids joined to their letters: 1 values"),
        ("user,item,ts\n1,2,638500000000000000\n", "all times are from 1990-03-27"),
        ("user,item,date\n1,2,1970-01-01\n1,3,2024-05-01\n", "1 times are before 1995"),
        ("user;item;quantity\n1;2;1.234\n1;3;2\n", "all 1 fractions in 'quantity'"),
    ],
)
def test_what_may_not_be_what_it_seems_is_said(text: str, said: str, tmp_path: Path) -> None:
    assert said in told(nf.read_log(written(tmp_path, "a.csv", text)))


@pytest.mark.parametrize(
    "text",
    [
        "user,item\n1,7\n2,8\nx,7\nun,8\n",
        "user,item\nann,a|b\nbob,a\n",
        "user;item;quantity\n1;2;1.234\n1;3;2.5\n",
        "user,item,date\n1,2,1997-01-01\n1,3,2024-05-01\n",
        "user,item\nÃ,7\n",
    ],
)
def test_what_is_plain_is_not_remarked_on(text: str, tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", text))
    assert log.read is not None
    assert len(log.read.losses()) == 0


def test_an_item_that_stands_for_many_is_said(tmp_path: Path) -> None:
    rows = "".join(f"{u},unknown\n{u},i{u % 5}\n" for u in range(1, 20))
    assert "item 'unknown' has 19 events and may stand for all unknown items" in told(
        nf.read_log(written(tmp_path, "a.csv", "user,item\n" + rows))
    )
    rows = "".join(f"0,{i}\n" for i in range(30)) + "".join(f"u{u},{u}\n" for u in range(20))
    assert "user '0' has 30 events and may stand for all users without" in told(
        nf.read_log(written(tmp_path, "b.csv", "user,item\n" + rows))
    )


def test_ids_that_a_spreadsheet_keeps_as_text_are_that_text(tmp_path: Path) -> None:
    text = 'user,item\n="007",1\n"=""007""",2\n007,3\n'
    log = nf.read_log(written(tmp_path, "a.csv", text))
    assert log.user_ids.ids.to_list() == ["007"]
    assert '="007" of spreadsheets read as text: 2 values' in told(log)
    assert log.user_ids.index(['="007"']).tolist() == [0]


ZONED, NAIVE = "2024-05-01T10:00:00+02:00", "2024-05-01T08:00:00"


@pytest.mark.parametrize(
    ("zoned", "naive"),
    [
        (ZONED, NAIVE),
        ("2024-05-01T08:00:00Z", "2024-05-01 08:00"),
        ("Wed May 01 2024 10:00:00 GMT+0200 (CEST)", "Wed May 01 2024 08:00:00"),
        ("01/May/2024:10:00:00 +0200", "01/May/2024:08:00:00"),
    ],
)
def test_times_without_a_zone_beside_others_are_counted(zoned, naive, tmp_path: Path) -> None:
    rows = f"user,item,ts\n1,1,{zoned}\n1,2,{naive}\n1,3,{zoned}\n"
    log = nf.read_log(written(tmp_path, "a.csv", rows))
    assert log.events["timestamp"].to_list() == [1714550400] * 3
    assert "1 times have no time zone and are read as UTC, 2 have one" in told(log)
    for times in ([zoned, zoned], [naive, naive]):
        rows = "user,item,ts\n" + "".join(f"1,{i},{t}\n" for i, t in enumerate(times))
        assert "no time zone" not in told(nf.read_log(written(tmp_path, "b.csv", rows)))


def test_zones_are_told_over_several_files_of_types(tmp_path: Path) -> None:
    naive = pl.Series([NAIVE]).str.to_datetime()
    for name, times in (("a", naive), ("b", naive.dt.replace_time_zone("Europe/Berlin"))):
        frame = pl.DataFrame({"user": [1], "item": [2], "ts": times})
        frame.write_parquet(tmp_path / f"{name}.parquet")
    log = nf.read_log(tmp_path)
    assert log.events["timestamp"].to_list() == [1714550400, 1714543200]
    assert "1 times have no time zone" in told(log)


@pytest.mark.parametrize(
    ("text", "ratings"),
    [
        ('user,item,rating\n1,2,"4,5"\n1,3,"5,0"\n', [4.5, 5.0]),
        ("user;item;rating\n1;2;4,5\n1;3;4,125\n", [4.5, 4.125]),
        ('user,item,rating\n1,2,"4,500"\n1,3,5\n', "a comma before three digits may be"),
        ('user,item,rating\n1,2,"4,5"\n1,3,4.5\n', "a decimal comma in some rows and a decimal"),
        ('user,item,quantity\n1,2,"4,5"\n1,3,"1,234"\n', "and a comma before three digits in"),
        ('user,item,quantity\n1,2,"1,234"\n1,3,2.5\n', [1234.0, 2.5]),
        ("user,item,rating\n1,2,80%\n1,3,100%\n", "row 1: the rating is '80%'.*--rating-column"),
        ("user,item,rating\n1,2,\u2605\u2605\n", "row 1: the rating is '\u2605\u2605'"),
        ("user,item,rating\n1,2,4/5\n", "row 1: the rating is '4/5'"),
        ("user,item,rating\n1,2,-1\n", "row 1: the rating is -1; .*--min-rating 0"),
    ],
)
def test_ratings_are_numbers_or_refused(text: str, ratings, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", text)
    if isinstance(ratings, str):
        with pytest.raises(DataError, match=ratings):
            nf.read_log(path)
    else:
        events = nf.read_log(path).events
        assert events[events.columns[-1]].to_list() == ratings


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_headers_that_come_again(block_bytes: int, tmp_path: Path) -> None:
    options = ReadOptions(block_bytes=block_bytes)
    text = "user,item\na,x\nUSER,Item\nb,y\n"
    log = nf.read_log(written(tmp_path, "a.csv", text), options=options)
    assert sizes(log) == (2, 2, 2)
    assert "1 repeated header lines" in told(log)
    path = written(tmp_path, "b.csv", "user,item,rating\n1,7,3\nitem,user,rating\n8,2,4\n")
    with pytest.raises(
        DataError, match="row 2: this is a second header, with the columns in another"
    ):
        nf.read_log(path, options=options)


def test_names_of_columns_have_no_invisible_characters(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "\ufeff\ufeffuser,it\u200bem\u00a0\n1,2\n")
    assert nf.read_log(path, user="user", item="item").n_events == 1


def test_files_that_are_written_otherwise_are_named(tmp_path: Path) -> None:
    written(tmp_path, "d/2024-01.csv", "user,item\n1,7\n")
    written(tmp_path, "d/2024-02.csv", "item;user;price\n8;1;3\n")
    written(tmp_path, "d/2024-03.csv", "user,item\n1,7\n")
    log = nf.read_log(tmp_path / "d")
    assert log.read is not None
    assert list(log.read.different_files.values()) == ["separated by semicolons"]
    assert "2024-02.csv (separated by semicolons)" in told(log)
    assert log.read.unused_columns == ["price"]


@pytest.mark.parametrize("array", [False, True])
def test_keys_that_come_late_are_named(array: bool, tmp_path: Path) -> None:
    rows = [{"user": 1, "item": 2}] * 20_000
    for late, said in (({"rating": 5}, True), ({}, False)):
        all_rows = [*rows, {"user": 1, "item": 3, **late}]
        lines = [json.dumps(row) for row in all_rows]
        content = "[" + ",\n".join(lines) + "]" if array else "\n".join(lines)
        log = nf.read_log(written(tmp_path, "a.json", content))
        assert ("keys that the first rows" in told(log)) is said


def test_a_pipeline_says_the_same_of_ids_and_times(tmp_path: Path) -> None:
    text = "user,item,timestamp\n007,5,2026-03-02T10:00:00\n7,5,2026-03-02T10:00:00Z\n"
    report = ReadReport()
    path = written(tmp_path, "a.csv", text)
    assert CSVEvents(str(path)).read(SINCE, UNTIL, report).height == 2
    assert "as '007' and '7'" in "\n".join(report.lines())
    assert "1 times have no time zone" in "\n".join(report.lines())


@pytest.mark.parametrize(
    ("text", "n_events", "said"),
    [
        ("user;item;gekauft\n1;2;ja\n1;3;nein\n", 1, "gekauft says no"),
        ("user,item,purchased\n1,2,oui\n1,3,non\n", 1, "purchased says no"),
        ("user,item,purchased\n1,2,x\n1,3,\n", 1, "purchased says no"),
        ("user,item,purchased\n1,2,hit\n1,3,miss\n", 2,
         "'purchased' is not used: it has 'hit' and 'miss', but yes or no was expected"),
    ],
)  # fmt: skip
def test_yes_and_no_in_other_words(text: str, n_events: int, said: str, tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", text))
    assert log.n_events == n_events
    assert said in told(log)


def test_columns_that_could_be_the_item_too_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "user,item,item_id,price\n1,Heat,7,3\n1,Alien,8,3\n")
    assert "'item_id' could also be the item; 'item' is used" in told(nf.read_log(path))
    assert "could also be" not in told(nf.read_log(path, item="item_id"))


def test_datetimes_without_a_zone_beside_others_are_counted() -> None:
    times = [pd.Timestamp(ZONED), pd.Timestamp(NAIVE), pd.Timestamp(ZONED)]
    log = nf.read_log(pd.DataFrame({"user": [1, 1, 1], "item": [1, 2, 3], "ts": times}))
    assert log.frame["timestamp"].n_unique() == 1
    assert "1 times have no time zone and are read as UTC, 2 have one" in told(log)


def test_exact_copies_whose_weights_add_up_are_said(tmp_path: Path) -> None:
    rows = "1,2,3,1714550400\n1,3,1,1714550400\n"
    path = written(tmp_path, "a.csv", "user,item,plays,ts\n" + rows + rows)
    assert "2 events are exact copies of others" in told(nf.read_log(path, weights="linear"))
    assert "exact copies" not in told(nf.read_log(path))


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("2024-05-01 10:00:00 CEST", "zone names are ambiguous; write an offset"),
        (
            "05.13.24 10:00",
            "years of two digits need a format, such as --time-format",
        ),
        ("5/3/24", "years of two digits need a format, such as --time-format"),
        ("2024-W05-3", "a week or quarter is not a day"),
        ("2024-05", "a month is not a day"),
        ("10:23", "a time of day has no date"),
        ("13. Mai 2024", "only English names of months are read"),
        ("2024-02-30", "a date such as 2024-05-01 was expected"),
        ("yesterday", "a date such as 2024-05-01 was expected"),
    ],
)
def test_times_that_are_not_read_say_what_to_write(time: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"row 1: the timestamp .*{said}"):
        nf.read_log(written(tmp_path, "a.csv", f"user,item,date\n1,2,{time}\n"))


def test_years_of_two_digits_are_read_by_their_form(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "user,item,date\n1,2,5/13/24\n")
    options = ReadOptions(rules=RowRules(time_format="%m/%d/%y"))
    assert nf.read_log(path, options=options).events["timestamp"].to_list() == [1715558400]
