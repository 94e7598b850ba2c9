"""The contract: every row is accepted or rejected for one reason, and too much of it stops."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.store.contracts import CHECKS, BrokenContractError, Contract, ContractReport
from tests.store.cases import HOSTILE, SINCE, UNTIL, events, inside

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)
LATER = datetime(2026, 6, 1, tzinfo=UTC)
LENIENT = Contract(1.0, 1.0, 1.0, 1.0, 1.0, volume_days=0)
KINDS = {
    "user": pl.String,
    "item": pl.Int64,
    "timestamp": pl.Datetime("us", "UTC"),
    "rating": pl.Float64,
}

moments = st.one_of(
    st.none(),
    st.datetimes(datetime(2026, 3, 1, 22), datetime(2026, 3, 6, 2), timezones=st.just(UTC)).map(
        lambda t: t.replace(microsecond=0)
    ),
    st.sampled_from([NOW, NOW + timedelta(seconds=300), NOW + timedelta(seconds=301)]),
)
rows = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from(["", "nul\0", "x" * 1025, *HOSTILE[:4]])),
        st.one_of(st.none(), st.integers(1, 3)),
        moments,
        st.sampled_from([None, -1.0, 0.0, 5.0, math.nan, math.inf]),
    ),
    max_size=60,
)


def frame_of(values: list[tuple[Any, ...]]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=KINDS, orient="row")


def oracle(values: list[tuple[Any, ...]]) -> list[str | None]:
    """The reason of every row, told one by one."""
    first, last = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (SINCE, UNTIL))
    seen: set[tuple[Any, ...]] = set()
    told: list[str | None] = []
    for user, item, moment, rating in values:
        missing = [n for n, v in zip(KINDS, (user, item, moment, rating), strict=True) if v is None]
        if missing:
            unread = " or unreadable" if missing[0] == "timestamp" else ""
            told.append(f"{missing[0]} missing{unread}")
        elif not user or "\0" in user or len(user.encode()) > 1024:
            told.append("user unusable")
        elif not (math.isfinite(rating) and rating >= 0):
            told.append("rating unusable")
        elif moment > NOW + timedelta(seconds=300):
            told.append("of the future")
        elif moment >= last:
            told.append("after the window")
        elif moment < first:
            told.append("before the window")
        elif (user, item, moment, rating) in seen:
            told.append("repeated")
        else:
            seen.add((user, item, moment, rating))
            told.append(None)
    return told


def checked(
    contract: Contract, frame: pl.DataFrame, **more: Any
) -> tuple[pl.DataFrame, ContractReport]:
    """What is accepted and the report, also where nothing is accepted."""
    try:
        result = contract.check(frame, SINCE, UNTIL, now=NOW, **more)
    except BrokenContractError as error:
        return frame.clear(), error.report
    return result.events, result.report


@given(rows)
def test_every_row_is_accepted_or_has_its_reason(values: list[tuple[Any, ...]]) -> None:
    frame, told = frame_of(values), oracle(values)
    accepted, report = checked(LENIENT, frame)
    assert_frame_equal(
        accepted, frame.filter(pl.Series([t is None for t in told], dtype=pl.Boolean))
    )
    assert report.rejected == {t: told.count(t) for t in set(told) - {None}}
    assert report.n_read == len(values) == report.n_accepted + report.n_rejected
    assert report.n_rejected == sum(report.rejected.values())
    assert report.n_accepted == sum(report.daily.values()) == accepted.height
    assert list(report.daily) == ["2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"]
    total = sum(v for k, v in report.shares.items() if k != "rejected")
    assert math.isclose(total, report.shares["rejected"], abs_tol=1e-12)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()


@given(rows)
def test_what_is_accepted_is_accepted_again(values: list[tuple[Any, ...]]) -> None:
    accepted, _ = checked(LENIENT, frame_of(values))
    again, report = checked(LENIENT, accepted)
    assert report.n_rejected == 0
    assert_frame_equal(again, accepted)


def test_rejected_rows_go_to_quarantine_with_their_reason(tmp_path: Path) -> None:
    values = [("a", 1, NOW, 5.0), ("a", 1, NOW, 5.0), (None, 1, NOW, 5.0), ("b", 2, NOW, -1.0)]
    path = tmp_path / "below" / "quarantine.parquet"
    _, report = checked(LENIENT, frame_of(values), quarantine=path)
    kept = pl.read_parquet(path)
    assert kept["reason"].to_list() == ["repeated", "user missing", "rating unusable"]
    assert_frame_equal(kept.drop("reason"), frame_of(values[1:]))
    assert report.quarantine == str(path)
    _, report = checked(LENIENT, frame_of(values[:1]), quarantine=path)
    assert report.quarantine is None
    assert not path.exists()


def test_a_good_log_holds_with_the_defaults() -> None:
    frame = inside(events())
    result = Contract().check(frame, SINCE, UNTIL, now=LATER)
    assert_frame_equal(result.events, frame)
    assert result.report.broken == []


@pytest.mark.parametrize(
    ("share", "told", "spoilt"),
    [
        (
            "missing",
            r"2\.50% of rows have a missing value \(user missing: 10\); at most 1\.00%",
            {"user": None},
        ),
        ("unusable", r"2\.50% of rows are unusable", {"rating": -1.0}),
        ("misdated", r"2\.50% of rows are misdated", {"timestamp": LATER + timedelta(days=1)}),
    ],
)
def test_too_much_of_one_kind_breaks_the_contract(
    share: str, told: str, spoilt: dict[str, Any], tmp_path: Path
) -> None:
    frame = inside(events(600))
    assert frame.height == 400
    column, value = next(iter(spoilt.items()))
    row = pl.int_range(pl.len())
    bad = frame.with_columns(
        pl.when(row < 10).then(pl.lit(value, frame.schema[column])).otherwise(column).alias(column)
    )
    path = tmp_path / "quarantine.parquet"
    strict = Contract(**{f"max_{share}_share": 0.01})
    with pytest.raises(DataError, match=told) as caught:
        strict.check(bad, SINCE, UNTIL, now=LATER, quarantine=path)
    assert isinstance(caught.value, BrokenContractError)
    assert str(path) in str(caught.value)
    assert pl.read_parquet(path).height == 10
    allowed = Contract(**{f"max_{share}_share": 0.025})
    assert allowed.check(bad, SINCE, UNTIL, now=LATER).report.n_accepted == 390


def test_repeats_and_the_total_have_their_limits() -> None:
    frame = inside(events(600))
    twice = pl.concat([frame, frame.head(50)])
    with pytest.raises(DataError, match=r"11\.11% of rows are repeated"):
        Contract().check(twice, SINCE, UNTIL, now=LATER)
    accepted = Contract(max_repeated_share=0.2, max_rejected_share=0.2).check(
        twice, SINCE, UNTIL, now=LATER
    )
    assert_frame_equal(accepted.events, frame)
    with pytest.raises(DataError, match=r"are rejected; at most 5\.00% may"):
        Contract(max_repeated_share=0.2, max_rejected_share=0.05).check(
            twice, SINCE, UNTIL, now=LATER
        )


def test_no_events_at_all_break_the_contract() -> None:
    with pytest.raises(DataError, match="of 2026-03-02 to 2026-03-05: there are none"):
        Contract().check(events().clear(), SINCE, UNTIL)


def daily(counts: list[int], first: date = date(2026, 1, 1)) -> tuple[pl.DataFrame, date, date]:
    """So many events on each day."""
    values = [
        (f"u{i}", day, datetime(2026, 1, 1, 8, tzinfo=UTC) + timedelta(days=day, seconds=i), 1.0)
        for day, n in enumerate(counts)
        for i in range(n)
    ]
    return frame_of(values), first, first + timedelta(days=len(counts))


@pytest.mark.parametrize(
    ("counts", "day"),
    [
        ([100] * 20 + [29], "2026-01-21 has 29 events, 30 to 300 were expected"),
        ([100] * 20 + [301], "2026-01-21 has 301 events"),
        ([100] * 20 + [0], "2026-01-21 has 0 events"),
        ([0] * 10 + [100] * 7 + [29], "2026-01-18 has 29 events"),
        (
            [100] * 20 + [0] * 3,
            r"2026-01-23 has 0 events \(the last are of 2026-01-20\), 30 to 300",
        ),
        ([100] * 20 + [0] * 40, r"has 0 events \(the last are of 2026-01-20\), 30 to 300"),
        ([100] * 27 + [0] + [100] * 6 + [0], "2026-02-04 has 0 events"),
        ([10] * 20 + [0], "2026-01-21 has 0 events, 1 to 30 were expected"),
    ],
    ids=[
        "drop",
        "jump",
        "missing day",
        "log began late",
        "outage",
        "outage longer than the median's days",
        "one weekday was missing before",
        "too few for chance",
    ],
)
def test_a_day_far_from_the_days_before_breaks_the_contract(counts: list[int], day: str) -> None:
    frame, since, until = daily(counts)
    with pytest.raises(DataError, match=day):
        Contract().check(frame, since, until, now=LATER)


@pytest.mark.parametrize(
    "counts",
    [
        [100] * 20 + [30],
        [100] * 20 + [300],
        [100] * 10 + [0] * 2 + [100] * 10,
        [0] * 10 + [100] * 6 + [5],
        [70, 130] * 10,
        [1000] * 40 + [100] * 29,
        [100] * 20 + [0] * 20 + [100],
        [100] * 20 + [0] * 35 + [100],
        [100, 100, 100, 100, 100, 0, 0] * 4,
        [100, 0, 0, 0, 0, 0, 0] * 4 + [100],
        [100, 0, 0, 0, 0, 0, 0] * 4,
        [1000, 1000, 1000, 1000, 1000, 1000, 200] * 4,
        [1, 2, 0, 1, 3, 1, 0, 2, 1, 0],
        [1, 2, 0, 1, 3, 1, 0, 2, 1, 4],
    ],
    ids=[
        "just enough",
        "just few enough",
        "old outage",
        "too short to tell",
        "up and down",
        "another month",
        "after an outage",
        "after an outage longer than the median's days",
        "no weekends",
        "one weekday",
        "between the weekdays with events",
        "a quiet weekday",
        "a small shop without events by chance",
        "a small shop with many by chance",
    ],
)
def test_days_that_are_not_far_hold(counts: list[int]) -> None:
    frame, since, until = daily(counts)
    assert Contract().check(frame, since, until, now=LATER).report.n_rejected == 0


def test_the_days_since_the_last_run_can_be_looked_at() -> None:
    frame, since, until = daily([100] * 10 + [0, 100, 100])
    with pytest.raises(DataError, match="2026-01-11 has 0 events"):
        Contract(volume_days=3).check(frame, since, until, now=LATER)
    report = Contract(volume_days=2).check(frame, since, until, now=LATER).report
    assert report.usual == {"2026-01-12": 100.0, "2026-01-13": 100.0}


def test_a_day_that_is_not_over_is_not_looked_at() -> None:
    frame, since, until = daily([100] * 20 + [5])
    noon = datetime(2026, 1, 21, 12, tzinfo=UTC)
    assert Contract().check(frame, since, until, now=noon).report.usual == {"2026-01-20": 100.0}
    with pytest.raises(DataError, match="has 5 events"):
        Contract().check(frame, since, until, now=datetime(2026, 1, 22, tzinfo=UTC))


def test_a_day_that_failed_is_not_passed_over_by_asking_for_today() -> None:
    frame, since, until = daily([100] * 19 + [0, 5])
    noon = datetime(2026, 1, 21, 12, tzinfo=UTC)
    with pytest.raises(DataError, match="2026-01-20 has 0 events"):
        Contract().check(frame, since, until, now=noon)


def test_this_machines_clock_is_the_default() -> None:
    today = datetime.now(UTC).replace(microsecond=0)
    frame = frame_of([("a", 1, today, 1.0), ("b", 1, today + timedelta(hours=1), 1.0)])
    until = today.date() + timedelta(days=3)
    report = LENIENT.check(frame, today.date(), until).report
    assert report.rejected == {"of the future": 1}


def test_frames_of_another_shape_are_refused() -> None:
    frame = events()
    for wrong, told in (
        (frame.drop("user"), "user ids are missing"),
        (frame.with_columns(pl.col("item").cast(pl.Float64)), "item ids are Float64"),
        (frame.with_columns(pl.col("timestamp").dt.replace_time_zone(None)), "datetimes in UTC"),
        (frame.with_columns(pl.col("rating").cast(pl.String)), "rating is String"),
    ):
        with pytest.raises(SchemaError, match=told):
            Contract().check(wrong, SINCE, UNTIL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_missing_share": 1.5},
        {"max_rejected_share": -0.1},
        {"min_volume_ratio": 1.2},
        {"max_volume_ratio": 0.9},
        {"volume_days": -1},
        {"min_median_days": 0},
        {"min_median_days": 30},
        {"clock_tolerance_seconds": -1.0},
        {"volume_days": "three"},
    ],
    ids=str,
)
def test_contracts_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        Contract(**wrong)


def test_every_setting_is_documented() -> None:
    import dataclasses

    assert Contract.__doc__ is not None
    for field in dataclasses.fields(Contract):
        assert f"{field.name}:" in Contract.__doc__


def test_an_accepted_check_fails_without_stopping_the_job() -> None:
    frame, since, until = daily([100] * 20 + [350])
    with pytest.raises(
        BrokenContractError, match=r"max_volume_ratio 3\).*continue this once with --accept volume"
    ) as caught:
        Contract().check(frame, since, until, now=LATER)
    assert caught.value.report.checks == ["volume"]
    report = Contract().check(frame, since, until, now=LATER, accept=["volume"]).report
    (accepted,) = report.accepted
    assert "350 events" in accepted
    assert report.broken == []
    with pytest.raises(BrokenContractError, match=r"there are none$"):
        Contract().check(frame.clear(), since, until, now=LATER, accept=CHECKS)


def test_a_column_of_numbers_without_any_number_is_as_if_it_were_not_there() -> None:
    frame = inside(events(600)).with_columns(rating=pl.lit(None, pl.Float64), weight=None)
    checked = Contract().check(frame.cast({"weight": pl.Float64}), SINCE, UNTIL)
    assert checked.report.rejected == {}
    assert checked.events.columns == ["user", "item", "timestamp"]
