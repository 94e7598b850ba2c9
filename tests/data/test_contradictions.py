"""Rows that say the opposite of an interaction are left out, or counted with what they say."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import nearfar as nf
from nearfar.store.sources.csv import CSVEvents
from nearfar.store.sources.sql import SQLEvents
from nearfar.tables.report import ReadReport


def log_of(folder: Path, column: str, values: Sequence[object], **options: object) -> nf.Log:
    path = folder / "log.csv"
    rows = "".join(f"{at % 7},{at % 5},{value}\n" for at, value in enumerate(values))
    path.write_text(f"user_id,item_id,{column}\n{rows}")
    return nf.read_log(path, **options)  # pyright: ignore[reportArgumentType]


def told(log: nf.Log) -> str:
    assert log.read is not None
    return "\n".join(log.read.lines())


@pytest.mark.parametrize(
    ("column", "values", "n_kept", "said"),
    [
        ("is_deleted,is_cancelled", ["0,0", "1,0", "0,1"], 1, "is_deleted says yes"),
        ("event,order_status", ["buy,done", "buy,cancelled"], 1, "order_status is 'cancelled'"),
        ("is_returned", ["No", "Yes", "Returned"], 1, "is_returned says yes"),
        ("voted_up", [1, 0, 1], 2, "voted_up says no"),
        ("liked", [1, 0, -1], 1, "liked says no"),
        ("event", [f"e{n}" for n in range(60)] + ["refund"], 60, "event is 'refund'"),
        ("quantity", [2, -1, 0], 1, "quantity is negative: a return, no event (keep it with"),
        ("quantity", [2, -1, 0], 1, "quantity is 0: no event (keep it with --weight-column ''"),
    ],
)
def test_rows_that_plainly_are_no_events_are_left_out(
    column: str, values: list, n_kept: int, said: str, tmp_path: Path
) -> None:
    log = log_of(tmp_path, column, values)
    assert log.n_events == n_kept
    assert said in told(log)


CONTRARY = [
    ("return_quantity", [0, 1, 2.5, ""], "'return_quantity' is not 0 (", 2),
    ("refund_amount", ["0.00", "$12.50", "-"], "'refund_amount' is not 0 (", 1),
    ("return_reason", ["", "too small", "too wide"], "'return_reason' holds a value (", 2),
    ("is_returned", ["no", "yes", "half"], "'is_returned' is 'half' (", 1),
    ("transaction_type", ["sale", "Return"], "'transaction_type' is 'Return' (--kind-column t", 1),
    ("order_type", ["Sale", "Sales Return"], "'order_type' is 'Sales Return' (if this undoes", 1),
    ("state", ["paid", "refunded"], "'state' is 'refunded' (--kind-column state leaves them", 1),
    ("side", ["BUY", "SELL"], "'side' is 'SELL' (--kind-column side", 1),
    ("vote", ["up", "down"], "'vote' is 'down' (--kind-column vote leaves them out", 1),
    ("is_recommended", ["true", "false"], "'is_recommended' says no (--outcome-column", 1),
    ("amount", ["2.5", "-1.2", "(3.00)", "-0.00"], "'amount' is negative (", 2),
    ("quantity,unit_price", ["1,2.5", "1,-1.2", "-1,-3"], "'unit_price' is negative (", 1),
]


@pytest.mark.parametrize(("column", "values", "said", "n"), CONTRARY)
def test_rows_that_may_be_no_events_are_counted(
    column: str, values: list, said: str, n: int, tmp_path: Path
) -> None:
    log = log_of(tmp_path, column, values)
    assert log.read is not None
    assert [count for what, count in log.read.contradictions.items() if said in what] == [n]
    assert (
        f": {n} of {len(values)} rows"
        in told(log).partition(f"counted as interactions although {said}")[2]
    )
    assert any(said in what for what in log.read.to_dict()["contradictions"])


@pytest.mark.parametrize(
    ("column", "values", "option"),
    [
        ("transaction_type", ["sale", "return"], "kind"),
        ("vote", ["up", "down"], "kind"),
        ("is_recommended", ["true", "false"], "outcome"),
    ],
)
def test_the_option_that_is_told_leaves_them_out(
    column: str, values: list, option: str, tmp_path: Path
) -> None:
    log = log_of(tmp_path, column, values, **{option: column})
    assert log.read is not None
    assert log.n_events == 1
    assert not log.read.contradictions


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("is_returning_customer", [1, 0]),
        ("product_type", ["returned", "sale"]),
        ("return_policy", ["30 days", "none"]),
        ("price", ["2.5", "0"]),
        ("discount_amount", ["-2.5", "0"]),
        ("state", ["CA", "NY"]),
        ("visitor_type", ["Returning Visitor", "New Visitor"]),
        ("refunded", [0, ""]),
    ],
)
def test_columns_that_speak_against_no_row_are_not_told(
    column: str, values: list, tmp_path: Path
) -> None:
    log = log_of(tmp_path, column, values)
    assert log.n_events == 2
    assert "although" not in told(log)


@pytest.mark.parametrize(
    ("values", "said", "n"),
    [
        (["paid", "refunded", "", ""], "'financial_status' is empty (", 2),
        (
            ["paid", "partially_refunded"],
            "'financial_status' is 'partially_refunded' (in a log, --kind-w",
            1,
        ),
        (["paid", "uninstall"], "'financial_status' is 'uninstall' (", 1),
        (["paid", "ad_impression"], "'financial_status' is 'ad_impression' (", 1),
    ],
)
def test_kinds_that_are_kept_and_may_be_none_are_counted(
    values: list, said: str, n: int, tmp_path: Path
) -> None:
    log = log_of(tmp_path, "financial_status", values)
    assert log.read is not None
    assert [count for what, count in log.read.contradictions.items() if said in what] == [n]


def test_kinds_with_weights_do_not_hide_returns(tmp_path: Path) -> None:
    log = log_of(tmp_path, "event,is_returned", ["buy,1", "buy,0"], kind_weights={"buy": 2})
    assert log.n_events == 2
    assert "counted as interactions although 'is_returned' is not 0" in told(log)


def test_typed_columns_and_lists_are_looked_at_too() -> None:
    flags = {"returned_amount": [0.0, -2.5], "cancel_flags": [[1], []], "price": [-0.5, 3.0]}
    frame = pl.DataFrame({"user": [1, 2], "item": [[3], [4, 5]], **flags})
    log = nf.read_log(frame)
    assert log.n_events == 3
    assert "'returned_amount' is not 0 (if this undoes the event" in told(log)
    assert "'price' is negative (" in told(log)
    assert "cancel_flags" not in told(log).partition("columns not used")[2].partition("\n")[2]


def test_columns_that_are_not_needed_may_hold_anything(tmp_path: Path) -> None:
    mixed = pd.DataFrame({"user": [1, 2], "item": [3, 4], "order_status": [1, "cancelled"]})
    assert nf.read_log(mixed, kind="").n_events == 2
    assert nf.read_log(mixed.rename(columns={"order_status": "order_type"})).n_events == 2
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"user":1,"item":2,"event_value":"{\\"af_price\\":1}","meta_state":{"a":[1]}}\n'
        '{"user":1,"item":3,"event_value":"-5","event_value":"-6"}\n'
    )
    log = nf.read_log(path)
    assert log.n_events == 2
    assert "'event_value' is negative" in told(log)
    with sqlite3.connect(tmp_path / "log.db") as connection:
        connection.execute("CREATE TABLE ev(user, item, amount)")
        connection.executemany("INSERT INTO ev VALUES (?, ?, ?)", [(1, 2, b"x"), (1, 3, -1)])
    connection.close()
    assert "'amount' is negative" in told(nf.read_log(tmp_path / "log.db"))


def test_a_database_is_asked_for_them_too(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE ev(user, item, date, amount, is_deleted, status, note)")
        rows = [
            (1, 2, "2024-05-01", 2.5, 0, "paid", None), (1, 3, "2024-05-01", -2.5, 0, "paid", b"x"),
            (1, 4, "2024-05-02", 1, 1, "paid", 5), (1, 5, "2024-05-02", 1, 0, "refunded", "y"),
        ]  # fmt: skip
        connection.executemany("INSERT INTO ev VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    report = ReadReport()
    source = SQLEvents(f"sqlite:///{path}", table="ev")
    events = source.read(date(2024, 5, 1), date(2024, 6, 1), report)
    assert events["item"].to_list() == [2, 3]
    assert sum(report.left_out.values()) == 2
    assert [n for what, n in report.contradictions.items() if "'amount' is negative" in what] == [1]


def test_a_pipeline_counts_them_over_all_files(tmp_path: Path) -> None:
    for day in (1, 2):
        (tmp_path / f"{day}.csv").write_text(
            "user,item,date,transaction_type,event\n"
            f"1,2,2024-05-0{day},sale,buy\n1,3,2024-05-0{day},return,buy\n"
            f",3,2024-05-0{day},return,buy\n1,4,2024-05-0{day},sale,impression\n"
            f"1,3,2023-05-0{day},return,buy\n"
        )
    report = ReadReport()
    events = CSVEvents(str(tmp_path)).read(date(2024, 5, 1), date(2024, 6, 1), report)
    assert events.height == 6  # the contract rejects the two without a user
    assert sum(report.contradictions.values()) == 2
    (line,) = (line for line in report.losses() if "'transaction_type' is 'return'" in line)
    assert line.endswith("2 of 8 rows of the window")
    (line,) = (line for line in report.losses() if "event is 'impression'" in line)
    assert line.startswith("left out: 2 of 8 rows of the window (25.0%)")


def test_a_row_is_left_out_for_one_reason_and_contradicts_only_if_it_counts(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(
        "customer_id,sku,order_status,amount\n"
        "1,a,completed,5\n2,a,completed,5\n1,b,completed,-5\n"
        ",b,cancelled,5\n,b,partly returned,-5\n,b,,\n2,b,cancelled,5\n"
    )
    read = nf.read_log(path, drop_bad_rows=True).read
    assert sum(read.left_out.values()) == read.n_rows - read.n_kept == 4
    assert [n for what, n in read.contradictions.items() if "'amount'" in what] == [1]
    assert not any("'order_status'" in what for what in read.contradictions)


def test_a_folder_that_names_a_hint_may_hold_nested_columns(tmp_path: Path) -> None:
    (tmp_path / "state=CA").mkdir()
    frame = pl.DataFrame({"user": [1, 2], "cart": [[{"item": 5}], [{"item": 6}]]})
    frame.write_parquet(tmp_path / "state=CA" / "part.parquet")
    assert nf.read_log(tmp_path).n_events == 2


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1, 2], dtype=pl.Duration("us")),
        pl.Series([b"\xff\xfe", b"a"], dtype=pl.Binary),
        pl.Series([None, None], dtype=pl.Time),
        pl.Series([object(), object()], dtype=pl.Object),
    ],
    ids=["duration", "binary", "time", "object"],
)
def test_a_column_that_is_not_needed_may_have_any_type(values: pl.Series) -> None:
    frame = pl.DataFrame({"user": [1, 2], "item": [5, 6], "total_watch_time": values})
    assert nf.read_log(frame).n_events == 2


def test_a_sale_counts_although_the_kinds_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,event_type\n1,a,sold\n2,a,view\n2,b,refund\n")
    log = nf.read_log(path, kind="event_type")
    assert log.n_events == 2
