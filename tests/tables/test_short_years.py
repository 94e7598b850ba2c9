"""Years of two digits, and dates as databases and programs of other countries write them."""

from __future__ import annotations

import calendar

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.tables.clock import Clock


def seconds(*moment: int) -> int:
    return calendar.timegm((*moment, *(0,) * (6 - len(moment))))


@pytest.mark.parametrize(
    ("times", "expected", "order"),
    [
        # Excel in the United States, as in the "Online Retail" data.
        (["12/1/10 8:26", "12/13/10 9:00"], [(2010, 12, 1, 8, 26), (2010, 12, 13, 9)], "month"),
        (["01.05.24", "31.05.24"], [(2024, 5, 1), (2024, 5, 31)], "day"),
        (["31/12/99 23:59:58", "01/01/00"], [(1999, 12, 31, 23, 59, 58), (2000, 1, 1)], "day"),
        (["24-05-02", "24-05-30"], [(2024, 5, 2), (2024, 5, 30)], "year"),
        # Oracle's format.
        (
            ["01-MAY-24 09.30.00.000000 PM", "2-Jun-24"],
            [(2024, 5, 1, 21, 30), (2024, 6, 2)],
            "day",
        ),
    ],
)
def test_years_of_two_digits_are_read_where_one_order_fits(times, expected, order) -> None:
    clock = Clock("log.csv")
    assert clock.read(pl.Series(times)).values.to_list() == [
        seconds(*moment) for moment in expected
    ]
    assert f"{len(times)} dates such as {times[0]!r} have a year of two digits" in clock.remarks[0]
    assert f"{order} first, in the years 1970 to 2069" in clock.remarks[0]


@pytest.mark.parametrize(
    "times",
    [
        ["01/05/24", "02/05/24"],
        ["13/05/24", "14/05/24"],  # 2013-05-24?
        ["24-05-13", "24-05-14"],  # 24 May 2013?
        ["13/05/24", "05/13/24"],
        ["12.30.45", "11.29.45"],
    ],
)
def test_years_of_two_digits_are_refused_where_several_orders_fit(times: list[str]) -> None:
    parsed = Clock("log.csv").read(pl.Series(times))
    assert parsed.bad.all()
    assert parsed.values.null_count() == len(times)


def test_later_blocks_keep_the_order_of_the_first_one() -> None:
    clock = Clock("log.csv")
    clock.read(pl.Series(["31/05/24"]))
    assert clock.read(pl.Series(["01/06/24"])).values.to_list() == [seconds(2024, 6, 1)]
    assert clock.read(pl.Series(["06/13/24"])).bad.all()
    assert clock.remarks[0].startswith("3 dates such as '31/05/24'")


def test_a_log_says_how_years_of_two_digits_were_read(tmp_path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("user,item,date\n1,10,31.05.24\n2,11,01.06.24\n")
    log = nf.read_log(path)
    assert log.events["timestamp"].to_list() == [seconds(2024, 5, 31), seconds(2024, 6, 1)]
    assert log.read is not None
    assert any("have a year of two digits" in remark for remark in log.read.remarks)


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("20240501T093000Z", (2024, 5, 1, 9, 30)),
        ("20240501T0930Z", (2024, 5, 1, 9, 30)),
        ("20240501T093000.123+0200", (2024, 5, 1, 7, 30)),
        ("20240501 09:30:05", (2024, 5, 1, 9, 30, 5)),
        ("2024-05-01T09:30:05.5Z[UTC]", (2024, 5, 1, 9, 30, 5)),
        ("2024-05-01T09:30:05+02:00[Europe/Berlin]", (2024, 5, 1, 7, 30, 5)),
        ("2024年5月1日 09:30:05", (2024, 5, 1, 9, 30, 5)),
        ("2024년 5월 1일", (2024, 5, 1)),
        ("2024. 5. 1. 15:04", (2024, 5, 1, 15, 4)),
        ("2024-05-01-09.30.05.000000", (2024, 5, 1, 9, 30, 5)),
        ("13/05/2024 09:30:05.123456", (2024, 5, 13, 9, 30, 5)),
        ("05/13/2024 09:30:05 +0200", (2024, 5, 13, 7, 30, 5)),
        ("09:30:05 13/05/2024", (2024, 5, 13, 9, 30, 5)),
        ("May 13 2024  01:03:13:000PM", (2024, 5, 13, 13, 3, 13)),
        ("01May2024:09:30:05", (2024, 5, 1, 9, 30, 5)),
        ("01/May/2024", (2024, 5, 1)),
        ("2024-May-01", (2024, 5, 1)),
        ("2024/05/01 09:30:05 PM", (2024, 5, 1, 21, 30, 5)),
    ],
)
def test_dates_as_other_programs_write_them(time: str, expected: tuple[int, ...]) -> None:
    assert Clock("log.csv").read(pl.Series([time])).values.to_list() == [seconds(*expected)]


def test_a_zone_without_an_offset_is_not_dropped() -> None:
    assert Clock("log.csv").read(pl.Series(["2024-05-01T09:30:05[Europe/Berlin]"])).bad.all()


def test_long_and_short_years_of_a_column_are_in_one_order() -> None:
    parsed = Clock("log.csv").read(pl.Series(["05/13/24", "05/01/2024"]))
    assert parsed.values.to_list() == [seconds(2024, 5, 13), seconds(2024, 5, 1)]
    with pytest.raises(DataError, match="some day first and others month first"):
        Clock("log.csv").read(pl.Series(["05/13/24", "13/05/2024"]))


def test_a_date_and_a_time_of_day_with_the_same_prefix_are_joined(tmp_path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "user,item,purchase_date,purchase_time\n1,10,5/13/24,09:30\n1,11,5/14/24,10:00\n"
    )
    log = nf.read_log(path)
    assert log.events["timestamp"].to_list() == [
        seconds(2024, 5, 13, 9, 30), seconds(2024, 5, 14, 10)
    ]  # fmt: skip
