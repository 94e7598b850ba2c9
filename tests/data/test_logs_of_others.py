"""Logs of shops, trackers and research that were once read wrongly without a word."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions


def lines(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "log.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def table(folder: Path, header: str, rows: list[str]) -> Path:
    path = folder / "log.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def told(log: nf.Log) -> str:
    assert log.read is not None
    return "\n".join(log.read.lines())


@pytest.mark.parametrize(
    ("row", "role", "column"),
    [
        ({"seller": {"user_id": 7}, "buyer": {"user_id": 1}}, "user", "buyer.user_id"),
        (
            {"order": {"shop": {"user_id": 7}, "customer": {"user_id": 1}}},
            "user", "order.customer.user_id",
        ),
        ({"before": {"user_id": 7}, "after": {"user_id": 1}}, "user", "after.user_id"),
        (
            {"user": {"id": 1, "created_at": "2019-01-01"}, "order": {"created_at": "2024-01-01"}},
            "timestamp", "order.created_at",
        ),
    ],
)  # fmt: skip
def test_of_paths_with_the_same_end_the_one_of_the_role_is_read(
    row: dict[str, Any], role: str, column: str, tmp_path: Path
) -> None:
    log = nf.read_log(lines(tmp_path, [{**row, "item_id": n} for n in range(3)]))
    assert log.read is not None
    assert log.read.columns[role] == column
    assert set(log.frame["user"]) == {1}


def test_paths_that_are_as_near_are_refused(tmp_path: Path) -> None:
    row = {"left": {"user_id": 7}, "right": {"user_id": 1}, "item_id": 2}
    with pytest.raises(SchemaError, match=r"'left.user_id', 'right.user_id' could each be the us"):
        nf.read_log(lines(tmp_path, [row]))
    log = nf.read_log(lines(tmp_path, [row]), user="right.user_id")
    assert log.frame["user"].to_list() == [1]


def test_a_search_engines_own_columns_are_no_ratings(tmp_path: Path) -> None:
    hits = [{"_id": n, "_score": 1.5, "_source": {"user_id": n, "item_id": 3}} for n in range(3)]
    assert not nf.read_log(lines(tmp_path, hits)).has("rating")


def test_text_in_brackets_is_text_and_a_list_is_refused(tmp_path: Path) -> None:
    rows = [{"user_id": n, "item_id": f"[Promo] Mug {n}"} for n in range(3)]
    assert nf.read_log(lines(tmp_path, rows)).frame["item"][0] == "[Promo] Mug 0"
    rows[1]["item_id"] = ["a", "b"]
    with pytest.raises(SchemaError, match="row 2: 'item_id' has several values"):
        nf.read_log(lines(tmp_path, rows))


@pytest.mark.parametrize("word", ["NULL", "NA", ""])
def test_any_number_of_rows_without_a_user_is_left_out_when_asked(
    word: str, tmp_path: Path
) -> None:
    path = table(
        tmp_path, "user_id,item_id", [f"{word if n % 2 else n},{n % 4}" for n in range(40)]
    )
    with pytest.raises(DataError, match="--drop-bad-rows"):
        nf.read_log(path)
    log = nf.read_log(path, drop_bad_rows=True)
    assert log.n_events == 20
    assert log.read is not None
    assert dict(log.read.left_out) == {"the user is missing": 20}


@pytest.mark.parametrize(
    ("first", "others", "moment"),
    [
        ("2014111807", ["2014111900"], datetime(2014, 11, 18, 7, tzinfo=UTC)),
        ("2014-12-09 05", ["2014-12-10 23"], datetime(2014, 12, 9, 5, tzinfo=UTC)),
        ("20240103", ["20240104"], datetime(2024, 1, 3, tzinfo=UTC)),
    ],
)
def test_times_to_the_hour_and_days_of_digits(
    first: str, others: list[str], moment: datetime, tmp_path: Path
) -> None:
    rows = [f"{n},3,{time}" for n, time in enumerate([first, *others])]
    log = nf.read_log(table(tmp_path, "user,item,time", rows))
    assert log.frame["timestamp"][0] == moment.timestamp()


def test_a_time_format_may_end_with_the_hour(tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,time", ["1,2,09/12/2014 05h"])
    log = nf.read_log(path, options=ReadOptions(rules=RowRules(time_format="%d/%m/%Y %Hh")))
    assert log.frame["timestamp"][0] == datetime(2014, 12, 9, 5, tzinfo=UTC).timestamp()


def test_empty_days_of_digits_do_not_make_the_others_numbers(tmp_path: Path) -> None:
    rows = [f"{n},3,{'00000000' if n % 5 == 4 else 20240101 + n}" for n in range(20)]
    path = table(tmp_path, "user,item,date", rows)
    with pytest.raises(
        DataError, match="dates as YYYYMMDD were expected, in the range of most rows"
    ):
        nf.read_log(path)


@pytest.mark.parametrize(
    ("times", "form"),
    [
        ([240103, 240204, 241231], "YYMMDD"),
        ([202401, 202402, 202412], "YYYYMM"),
        ([202401, 202422, 202452], "YYYYWW"),
        ([2024001, 2024203, 2024366], "YYYYDDD"),
        ([1, 2, 300], None),
    ],
)
def test_short_dates_of_digits_are_remarked_on(
    times: list[int], form: str | None, tmp_path: Path
) -> None:
    rows = [f"{n},3,{time}" for n, time in enumerate(times)]
    text = told(nf.read_log(table(tmp_path, "user,item,time", rows)))
    assert ("the times look like" in text) is (form is not None)
    assert form is None or f"look like {form}, but are read as numbers that count steps" in text


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("order_status", "Denied", "'order_status' is 'Denied'"),
        ("order_status", "On Hold", "'order_status' is 'On Hold'"),
        ("deal_stage", "closedlost", "'deal_stage' is 'closedlost'"),
        ("thumbs", "down", "'thumbs' is 'down'"),
        ("is_bot", "1", "'is_bot' is not 0"),
        ("is_hate", "1", "'is_hate' is not 0"),
        ("refund_flag", "t", "'refund_flag' is 't'"),
        ("not_interested", "yes", "'not_interested' is 'yes'"),
        ("thumbs_down", "1", "'thumbs_down' is not 0"),
        ("event", "mark_not_interested", "'event' is 'mark_not_interested'"),
        ("event", "ad_shown", "'event' is 'ad_shown'"),
        ("is_test", "true", "'is_test' is 'true'"),
    ],
)
def test_what_speaks_against_a_row_is_told(
    column: str, value: str, said: str, tmp_path: Path
) -> None:
    rows = [f"{n},{n % 3},{value if n == 5 else ''}" for n in range(6)]
    text = told(nf.read_log(table(tmp_path, f"user,item,{column}", rows)))
    assert f"counted as interactions although {said}" in text
    assert "1 of 6 rows" in text


def test_a_quantity_is_no_refund_because_its_name_explains_refunds(tmp_path: Path) -> None:
    rows = ["1,2,3", "2,3,-1"]
    text = told(nf.read_log(table(tmp_path, "user,item,Quantity (- Refund)", rows), weight=""))
    assert "'Quantity (- Refund)' is negative" in text
    assert "is not 0" not in text


def test_other_rows_of_an_undone_order_are_spoken_of(tmp_path: Path) -> None:
    states = ("placed", "shipped", "cancelled")
    rows = [f"9,{n},{n},{state}" for n in range(3) for state in states[: n + 1]]
    text = told(nf.read_log(table(tmp_path, "order_id,user,item,status", rows)))
    assert "left out: 1 of 6 rows" in text
    assert "other rows of the same 'order_id' still count" in text


def test_a_row_counts_as_left_out_for_one_reason(tmp_path: Path) -> None:
    rows = [f"{n},{n % 3},{int(n != 4)},{int(n == 4)}" for n in range(6)]
    log = nf.read_log(table(tmp_path, "user,adgroup,nonclk,clk", rows), item="adgroup")
    assert log.read is not None
    assert sum(log.read.left_out.values()) == 5
    assert log.n_events == 1


@pytest.mark.parametrize("user", ["deleted", "[redacted]", "-1", "2147483647"])
def test_users_that_stand_for_nobody_are_remarked_on(user: str, tmp_path: Path) -> None:
    rows = [f"{user if n < 4 else 100 + n % 20},{n % 9}" for n in range(60)]
    text = told(nf.read_log(table(tmp_path, "user,item", rows)))
    assert "may stand for all users without an account" in text


def test_lists_between_blanks_in_the_items_column_are_remarked_on(tmp_path: Path) -> None:
    rows = [f"U{n},N{n % 7} N{(n + 3) % 7}" for n in range(30)]
    text = told(nf.read_log(table(tmp_path, "user,history", rows), item="history"))
    assert "most item ids look like lists of ids between blanks" in text
    rows = [f"U{n},Item {n % 7}" for n in range(30)]
    assert "lists of ids" not in told(nf.read_log(table(tmp_path, "user,item", rows)))


def test_a_missing_quantity_is_one_event_unless_weights_are_asked_for(tmp_path: Path) -> None:
    path = lines(tmp_path, [{"user": n, "item": 1, "quantity": None if n else 3} for n in range(4)])
    log = nf.read_log(path)
    assert log.events["weight"].to_list() == [3, 1, 1, 1]
    assert "missing values of 'quantity' count as 1: 3 values" in told(log)
    with pytest.raises(DataError, match="the weight is missing"):
        nf.read_log(path, weight="quantity")


def test_negative_ratings_can_be_kept_without_their_value(tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,rating", ["1,2,-1", "2,3,4"])
    with pytest.raises(DataError, match="without their rating with --rating-column ''"):
        nf.read_log(path)
    assert nf.read_log(path, rating="").n_events == 2


@pytest.mark.parametrize(
    "never", ["0000-00-00 00:00:00", "0001-01-01T00:00:00Z", "1970-01-01", "9999-12-31 23:59:59"]
)
def test_a_date_that_means_no_date_undoes_no_event(never: str, tmp_path: Path) -> None:
    rows = [f"{n},{n % 3},{never},{never}" for n in range(5)] + ["5,1,2024-01-02,"]
    log = nf.read_log(table(tmp_path, "user,item,cancelled_at,refund_date", rows))
    assert log.n_events == 5
    assert "although" not in told(log)


def test_zeros_among_numbers_of_outcomes_are_told(tmp_path: Path) -> None:
    rows = [f"{n},{n % 3},{n % 4}" for n in range(8)]
    text = told(nf.read_log(table(tmp_path, "user,item,click", rows)))
    assert "although 'click' is '0'" in text
    assert "2 of 8 rows" in text


def test_codes_of_states_are_told_with_advice_that_works(tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,status", [f"{n},{n % 3},{n % 2 * 6}" for n in range(8)])
    text = told(nf.read_log(path))
    assert "'status' has kinds of events (0 4, 6 4) that all count the same" in text
    assert "--kind-column status --kind-weights 0=1,6=2" in text
    log = nf.read_log(path, kind="status", kind_weights="0=1,6=2")
    assert log.n_events == 8


def test_the_advice_on_kinds_quotes_them_for_the_shell(tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,event", ["1,2,add to cart", "2,2,buy (web)"])
    assert "--kind-weights 'add to cart=1,buy (web)=2'" in told(nf.read_log(path))


def test_the_time_of_the_event_comes_before_the_time_of_its_row(tmp_path: Path) -> None:
    path = table(tmp_path, "user,item,created_at,ordered_at", ["1,2,2019-01-01,2024-01-01"])
    log = nf.read_log(path)
    assert log.frame["timestamp"][0] == datetime(2024, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("message", "column"),
    [
        ({"value": {"user_id": 1, "item_id": 2, "ts": 1714557600}}, "value.ts"),
        ({"data": {"user": {"id": 1}, "item": {"id": 2}, "ts": 1714557600}}, "data.ts"),
        ({"value": {"user_id": 1, "item_id": 2, "created_at": 1714557600}}, "timestamp"),
        ({"user_id": 1, "item": {"item_id": 2, "time": 1714557600}}, "timestamp"),
    ],
)
def test_the_time_beside_user_and_item_comes_before_that_of_the_delivery(
    message: dict[str, Any], column: str, tmp_path: Path
) -> None:
    log = nf.read_log(lines(tmp_path, [{"timestamp": 1714600800000, **message}]))
    assert log.read is not None
    assert log.read.columns["timestamp"] == column


def test_single_precision_ids_that_may_have_been_rounded_are_refused() -> None:
    users = pl.Series("user", [2**24, 2**24 + 1], pl.Float32)
    with pytest.raises(DataError, match="row 1: the user is 16777216"):
        nf.read_log(pl.DataFrame({"user": users, "item": [1, 2]}))


def test_arrays_of_fixed_length_are_lists() -> None:
    items = pl.Series("items", [[1, 2], [2, 3]], pl.Array(pl.Int64, 2))
    log = nf.read_log(pl.DataFrame({"user": [1, 2], "items": items}))
    assert log.frame["item"].to_list() == [1, 2, 2, 3]


def test_a_second_line_of_a_header_is_remarked_on(tmp_path: Path) -> None:
    rows = ["id,name,code", "u1,Ann,p1", "u2,Bob,p2"]
    text = told(nf.read_log(table(tmp_path, "Customer,,Product", rows)))
    assert "1 rows such as that of user 'id' and item 'code' may be lines of a header" in text
    rows = ["u1,Ann,code", "id,Bob,p2"]
    assert "lines of a header" not in told(nf.read_log(table(tmp_path, "Customer,,Product", rows)))


def test_an_object_that_is_null_in_the_first_row_is_read_from_the_others(tmp_path: Path) -> None:
    changes = [
        {"payload": {"before": None, "after": {"user_id": 1, "item_id": n}}} for n in range(3)
    ]
    changes.append({"payload": {"before": {"user_id": 1, "item_id": 0}, "after": None}})
    log = nf.read_log(lines(tmp_path, changes), drop_bad_rows=True)
    assert log.read is not None
    assert log.read.columns["user"] == "payload.after.user_id"
    assert log.n_events == 3
