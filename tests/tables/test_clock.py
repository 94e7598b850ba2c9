"""Times in every form are the same seconds, and one odd time moves no other."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import DataError
from nearfar.tables.clock import FIRST, LAST, PER_SECOND, Clock

START = 1_714_500_000
DAYS = [START + 86_400 * n for n in range(40)]


def read(*blocks: list | pl.Series, **options) -> list[int | None]:
    clock = Clock("t", **options)
    return [s for b in blocks for s in clock.read(pl.Series("time", b)).values.to_list()]


@pytest.mark.parametrize("unit", PER_SECOND)
@pytest.mark.parametrize("form", [int, float, str, lambda n: f" {n} ", lambda n: f"{n}.0"])
def test_numbers_in_every_unit(unit: str, form) -> None:
    ticks = [form(n * PER_SECOND[unit]) for n in DAYS]
    assert read(ticks) == DAYS
    assert read(ticks, unit=unit) == DAYS


@pytest.mark.parametrize("unit", PER_SECOND)
@pytest.mark.parametrize("odd", PER_SECOND)
@pytest.mark.parametrize("block", [1, 7, 40])
def test_one_number_in_another_unit_is_an_outlier(unit: str, odd: str, block: int) -> None:
    if unit == odd:
        return
    ticks = [n * PER_SECOND[unit] for n in DAYS]
    ticks[25] = DAYS[25] * PER_SECOND[odd]
    parts = [ticks[i : i + block] for i in range(0, 40, block)]
    expected = [*DAYS[:25], None, *DAYS[26:]]
    assert read(*parts) == expected
    parsed = Clock("t").read(pl.Series(ticks))
    assert parsed.bad.arg_true().to_list() == [25]


@pytest.mark.parametrize("odd", [253_402_300_799, 9_999_999_999_999, 0, -1, 10**18, 20240501])
def test_a_far_off_clock_is_an_outlier(odd: int) -> None:
    assert read([*DAYS[:3], odd, *DAYS[3:]]) == [*DAYS[:3], None, *DAYS[3:]]
    assert read([*map(str, DAYS[:3]), str(odd)]) == [*DAYS[:3], None]


def test_steps_that_are_no_dates_are_counted_as_they_are() -> None:
    assert read([0, 1, 2, 3]) == [0, 1, 2, 3]
    assert read(list(range(100, 120)), [5, 10**8 + 1]) == [*range(100, 120), 5, None]


def test_dates_of_digits() -> None:
    first = int(datetime(2024, 5, 1, tzinfo=UTC).timestamp())
    assert read([20240501, 20240502]) == [first, first + 86_400]
    assert read(["20240501", "20240502"]) == [first, first + 86_400]
    assert read([20240501103000, 20240502000000]) == [first + 37_800, first + 86_400]
    # Not dates, since most have no such month: steps.
    assert read([20249901, 20249902]) == [20249901, 20249902]
    assert read([20240501] * 200 + [20249901]) == [first] * 200 + [None]


MOMENT = datetime(2024, 5, 1, 10, 20, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        *("2024-05-01T10:20:30", "2024-05-01T10:20:30.123456", "2024-05-01 10:20:30Z"),
        *("2024-05-01 10:20:30+00", "2024-05-01T12:20:30+02:00", "2024-05-01 06:20:30 -0400"),
        *("2024-05-01 10:20:30.5 UTC", "2024/05/01 10:20:30", "2024-5-1 10:20:30", "1714558830"),
        *("01.05.2024 10:20:30", "01 May 2024 10:20:30", "Wed, 01 May 2024 12:20:30 +0200"),
        *("Wed May 01 06:20:30 -0400 2024", "1714558830.75", "1714558830000", "20240501102030"),
    ],
)
def test_every_form_of_a_moment(text: str) -> None:
    assert read([text]) == [int(MOMENT.timestamp())]


def test_forms_may_be_mixed() -> None:
    texts = ["2024-05-01T10:20:30", "2024-05-01T10:20:30.1", None, "", "2024-05-01 12:20:30+02"]
    seconds = int(MOMENT.timestamp())
    assert read(texts, ["2024-05-01T10:20"]) == [
        seconds, seconds, None, None, seconds, seconds - 30
    ]  # fmt: skip


@given(
    st.lists(
        st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)).map(
            lambda moment: moment.replace(microsecond=0)
        ),
        min_size=1, max_size=5,
    ),
    st.integers(-14 * 4, 14 * 4),
)  # fmt: skip
def test_isoformat_is_read_back(moments: list[datetime], quarters: int) -> None:
    zone = timezone(timedelta(minutes=15 * quarters))
    aware = [moment.replace(tzinfo=UTC) for moment in moments]
    texts = [moment.astimezone(zone).isoformat() for moment in aware]
    assert read(texts) == [int(moment.timestamp()) for moment in aware]


def test_days_before_months_or_the_reverse_are_told_by_the_column_or_asked_for() -> None:
    assert read(["01/05/2024", "13/05/2024"]) == read(["2024-05-01", "2024-05-13"])
    assert read(["05/01/2024", "05/13/2024"]) == read(["2024-05-01", "2024-05-13"])
    for texts in (["01/05/2024"], ["13/05/2024", "05/13/2024"]):
        with pytest.raises(DataError, match="--time-format"):
            read(texts)
    assert read(["01/05/2024"], time_format="%d/%m/%Y") == read(["2024-05-01"])
    assert read(["01/05/2024"], time_format="%m/%d/%Y") == read(["2024-01-05"])


@pytest.mark.parametrize(
    "text", ["soon", "2024-13-01", "2024-02-30", "9999-12-31", "0001-01-01", "2024-05-01T25:00:00"]
)
def test_what_is_no_time_is_bad(text: str) -> None:
    parsed = Clock("t").read(pl.Series(["2024-05-01", text, None]))
    assert parsed.bad.to_list() == [False, True, False]
    assert parsed.values.null_count() == 2


def test_typed_dates_and_what_is_no_column_of_times() -> None:
    assert read([date(2024, 5, 1)]) == read(["2024-05-01"])
    assert read(pl.Series([MOMENT])) == [int(MOMENT.timestamp())]
    far = Clock("t").read(pl.Series([datetime(9999, 1, 1), datetime(2024, 5, 1)]))
    assert far.bad.to_list() == [True, False]
    with pytest.raises(DataError, match="timestamps are Boolean"):
        read([True])
    assert FIRST < 0 < START < LAST
