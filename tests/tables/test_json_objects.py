"""JSON that is no list of lines: a table in one object, objects over several lines, deep lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.columns import AmbiguousColumnError

ORDERS = [
    {
        "id": 1,
        "created_at": "2024-03-01T10:00:00Z",
        "financial_status": "paid",
        "customer": {"id": 10},
        "line_items": [{"product_id": 5, "quantity": 2}, {"product_id": 6, "quantity": 1}],
        "tax_lines": [{"price": "1.00"}],
    },
    {
        "id": 2,
        "created_at": "2024-03-02T10:00:00Z",
        "financial_status": "paid",
        "customer": {"id": 11},
        "line_items": [{"product_id": 5, "quantity": 1}],
        "tax_lines": [],
    },
]
PAIRS = {("10", "5"), ("10", "6"), ("11", "5")}


def pairs(log: nf.Log) -> set[tuple[str, str]]:
    return set(log.frame.select("user", "item").cast(pl.String).rows())


def read(text: str, folder: Path, name: str = "a.json", **settings: Any) -> nf.Log:
    path = folder / name
    path.write_text(text)
    return nf.read_log(path, **settings)


def remarks(log: nf.Log) -> str:
    assert log.read is not None
    return "\n".join(log.read.remarks)


@pytest.mark.parametrize("indent", [None, 2])
def test_orders_in_one_object_are_read_item_by_item(indent: int | None, tmp_path: Path) -> None:
    answer = {"count": 2, "status": "error", "timestamp": 5, "orders": ORDERS}
    log = read(json.dumps(answer, indent=indent), tmp_path)
    assert pairs(log) == PAIRS
    assert log.read is not None
    assert log.read.columns["timestamp"] == "orders.created_at"
    assert log.read.columns["weight"] == "orders.line_items.quantity"
    assert "'orders.line_items' holds lists: 1 row is read as 3 events" in remarks(log)


@pytest.mark.parametrize("times", [True, False])
def test_a_time_of_an_entry_is_nearer_than_one_beside_the_list(times: bool, tmp_path: Path) -> None:
    hours = [{"timestamp": f"2026-05-01T10:0{n}:00Z"} if times else {} for n in range(3)]
    entries = [{"item_id": n, **hour} for n, hour in enumerate(hours)]
    sessions = [{"user_id": user, "date": "2026-05-01", "events": entries} for user in (1, 2)]
    log = read("\n".join(map(json.dumps, sessions)), tmp_path, "sessions.jsonl")
    assert log.read is not None
    assert log.read.columns["timestamp"] == ("events.timestamp" if times else "date")


def test_a_large_object_is_read_whole(tmp_path: Path) -> None:
    orders = [{**ORDERS[0], "customer": {"id": n}} for n in range(3_000)]
    log = read(json.dumps({"orders": orders}, indent=4), tmp_path)
    assert (tmp_path / "a.json").stat().st_size > 1 << 20
    assert log.n_events == 6_000
    assert log.frame["user"].n_unique() == 3_000


def test_a_cancelled_order_around_its_items_counts_as_none(tmp_path: Path) -> None:
    orders = [ORDERS[0], {**ORDERS[1], "financial_status": "refunded"}]
    log = read(json.dumps({"orders": orders}), tmp_path)
    assert pairs(log) == {("10", "5"), ("10", "6")}
    assert log.read is not None
    assert "financial_status is 'refunded'" in str(log.read.left_out)


def test_a_returned_entry_of_a_list_counts_as_none(tmp_path: Path) -> None:
    entries = [{"item_id": 1, "returned": False}, {"item_id": 2, "returned": True}]
    log = read(json.dumps({"user_id": 7, "bought": entries}) + "\n", tmp_path)
    assert pairs(log) == {("7", "1")}


def test_hits_of_a_search_are_read(tmp_path: Path) -> None:
    hits = [
        {"_index": "i", "_id": n, "_source": {"user_id": n, "item_id": n % 2, "timestamp": 1e9 + n}}
        for n in range(5)
    ]
    result = {"took": 3, "hits": {"total": {"value": 5}, "hits": hits}}
    log = read(json.dumps(result, indent=1), tmp_path)
    assert log.n_events == 5
    assert log.read is not None
    assert log.read.columns["item"] == "hits.hits._source.item_id"


@pytest.mark.parametrize("separator", ["\n", ",\n"])
def test_objects_over_several_lines_one_after_another(separator: str, tmp_path: Path) -> None:
    objects = [json.dumps({"user_id": n, "item_id": n % 3}, indent=2) for n in range(9)]
    assert read(separator.join(objects), tmp_path).n_events == 9


def test_lists_three_deep(tmp_path: Path) -> None:
    sessions = [{"item_id": n, "events": [{"ts": 10**9 + n}, {"ts": 10**9 - n}]} for n in range(3)]
    data = {"data": [{"user_id": 1, "sessions": sessions}, {"user_id": 2, "sessions": []}]}
    log = read(json.dumps(data), tmp_path)
    assert log.n_events == 6
    assert "left out: 1 rows whose 'data.sessions' is empty" in remarks(log)


def test_lists_of_parquet_in_lists(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"user_id": [1, 2], "o": [[{"lines": [{"item_id": 3}, {"item_id": 4}]}]] * 2}
    )
    frame.write_parquet(tmp_path / "a.parquet")
    assert pairs(nf.read_log(tmp_path / "a.parquet")) == {
        ("1", "3"),
        ("1", "4"),
        ("2", "3"),
        ("2", "4"),
    }


def test_entries_of_two_lists_are_not_mixed(tmp_path: Path) -> None:
    data = {
        "users": [{"id": 1}, {"id": 2}],
        "movies": [{"id": 5, "title": "Heat"}],
        "ratings": [{"user_id": 1, "movie_id": 5, "rating": 4}],
    }
    assert pairs(read(json.dumps(data), tmp_path)) == {("1", "5")}
    with pytest.raises(DataError, match="do not have the same length"):
        read(json.dumps(data), tmp_path, user="users.id", item="ratings.movie_id")


@pytest.mark.parametrize(
    "row",
    [
        {"Item": {"user_id": {"S": "u"}, "item_id": {"N": "5"}}},
        {"fields": {"userId": {"stringValue": "u"}, "itemId": {"integerValue": "5"}}},
        {"user_id": {"string": "u"}, "item_id": {"long": 5}},
        {"Item": {"user_id": {"S": "u"}, "items": {"L": [{"M": {"item_id": {"N": "5"}}}]}}},
    ],
)
def test_keys_for_types_are_left_out_of_names(row: dict[str, Any], tmp_path: Path) -> None:
    assert pairs(read((json.dumps(row) + "\n") * 2, tmp_path)) == {("u", "5")}


def test_values_of_two_types_are_two_columns(tmp_path: Path) -> None:
    rows = [{"user_id": {"S": "u"}, "item_id": 1}, {"user_id": {"N": "5"}, "item_id": 2}]
    with pytest.raises(SchemaError, match=r"'user_id.S', 'user_id.N'"):
        read("".join(json.dumps(row) + "\n" for row in rows), tmp_path)


FRAME = pl.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "ts": [10**9] * 3})
LAYOUTS = {
    "an object per column": {c: dict(enumerate(FRAME[c].to_list())) for c in FRAME.columns},
    "an object per row": dict(enumerate(FRAME.to_dicts())),
    "a list of column names": {"columns": FRAME.columns, "index": [0, 1, 2], "data": FRAME.rows()},
    "lists of items": {"1": ["a", "b"], "2": ["a"]},
    "ratings by item": {"1": {"a": 3, "b": 4}, "2": {"a": 5}},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_table_in_one_object(layout: str, indent: int | None, tmp_path: Path) -> None:
    log = read(json.dumps(LAYOUTS[layout], indent=indent), tmp_path)
    assert pairs(log) == {("1", "a"), ("1", "b"), ("2", "a")}
    assert log.read is not None
    assert layout in str(log.read)


def test_long_ids_of_a_table_in_one_object_keep_their_digits(tmp_path: Path) -> None:
    text = (
        '{"user_id": {"0": 9007199254740993, "1": 9007199254740992}, "item_id": {"0": 1, "1": 1}}'
    )
    assert pairs(read(text, tmp_path)) == {("9007199254740993", "1"), ("9007199254740992", "1")}


def test_a_user_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the key 'ann' more than once"):
        read('{"ann": ["a", "b"], "bob": ["a"], "ann": ["c"]}', tmp_path)


def test_the_user_around_users_is_refused(tmp_path: Path) -> None:
    answer = {"user": "me", "data": [{"user": {"id": n}, "item": {"id": 5}} for n in range(3)]}
    with pytest.raises(AmbiguousColumnError, match=r"'user', 'data.user.id' could each be"):
        read(json.dumps(answer), tmp_path)
    assert pairs(read(json.dumps(answer), tmp_path, user="data.user.id")) == {
        (str(n), "5") for n in range(3)
    }
    session = {"user": "ann", "visits": [{"session": 1, "clicks": [{"item": 5}]}]}
    assert pairs(read(json.dumps(session), tmp_path)) == {("ann", "5")}


def test_an_object_with_a_key_per_user_is_read_or_refused_at_once(tmp_path: Path) -> None:
    by_user = {f"u{n}": [{"item": n % 9}] for n in range(20_000)}
    assert read(json.dumps(by_user), tmp_path).n_users == 20_000
    many_lists = {f"u{n}": [{"n": n % 9}] for n in range(20_000)}
    for data in (many_lists, {"purchases": by_user}):
        with pytest.raises(DataError, match="an object with 20,000 keys"):
            read(json.dumps(data), tmp_path)


def test_states_of_a_changed_row_are_one_row(tmp_path: Path) -> None:
    states = {"before": {"user_id": 1, "item_id": 2}, "after": {"user_id": 1, "item_id": 3}}
    assert pairs(read(json.dumps(states), tmp_path)) == {("1", "3")}


def test_a_truncated_object_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1: not JSON"):
        read(json.dumps({"orders": ORDERS}, indent=2)[:-40], tmp_path)


@pytest.mark.parametrize("depth", [800, 100_000])
@pytest.mark.parametrize("start", ["", "\n", "["])
def test_deeply_nested_json_is_refused(depth: int, start: str, tmp_path: Path) -> None:
    row = f'{{{start * (start != "[")}"user": 1, "item": 2, "x": {"[" * depth}{"]" * depth}}}'
    text = f"[{row}]" if start == "[" else f"{row}\n" * 3
    with pytest.raises(DataError, match="nested hundreds of levels deep"):
        read(text, tmp_path)


def test_a_folder_of_objects_with_lists(tmp_path: Path) -> None:
    for n, order in enumerate(ORDERS):
        (tmp_path / f"page-{n}.json").write_text(json.dumps({"orders": [order]}, indent=2))
    (tmp_path / "info.json").write_text(json.dumps({"pages": 2}, indent=2))
    log = nf.read_log(tmp_path)
    assert pairs(log) == PAIRS
    assert log.read is not None
    assert log.read.skipped_files == ["info.json"]
