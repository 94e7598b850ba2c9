"""Logs as other programs write them: spreadsheets, shops, analytics, pandas, change capture."""

from __future__ import annotations

from pathlib import Path

import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.tables.columns import resolve
from nearfar.tables.dialect import TextOptions
from nearfar.tables.roles import EVENT_ROLES
from nearfar.tables.table import ReadOptions


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return path


def pairs(log: nf.Log) -> list[tuple[str, str]]:
    users, items = log.user_ids.ids, log.item_ids.ids
    return [
        (str(users[user]), str(items[item])) for user, item in log.events["user", "item"].rows()
    ]


def report(log: nf.Log) -> str:
    assert log.read is not None
    return "\n".join(log.read.lines())


@pytest.mark.parametrize("block_bytes", [16, 1 << 20])
@pytest.mark.parametrize(
    ("text", "n_empty"),
    [
        ("user,item,note\n1,10,a\n2,11,b\n" + ",,\n" * 40, 40),
        ("user;item\r\n1;10\r\n;\r\n2;11\r\n;\r\n", 2),
        ('user,item,note\n"1",10,a\n, ,\n2,11,"b"\n,,', 2),
        ("user\titem\n1\t10\n2\t11\n\t\n", 1),
    ],
)
def test_rows_of_empty_cells_are_left_out_and_counted(text, n_empty, block_bytes, tmp_path) -> None:
    options = ReadOptions(block_bytes=block_bytes)
    log = nf.read_log(written(tmp_path, "sheet.csv", text), options=options)
    assert pairs(log) == [("1", "10"), ("2", "11")]
    rows = "1 row" if n_empty == 1 else f"{n_empty} rows"
    assert f"left out: {rows} of empty cells in" in report(log)


def test_a_row_with_a_value_and_no_user_is_not_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 2: the user is missing"):
        nf.read_log(written(tmp_path, "a.csv", "user,item,note\n1,10,\n,,x\n"))


def test_lines_of_a_quoted_text_are_no_rows(tmp_path: Path) -> None:
    quoted = written(
        tmp_path, "a.csv", '"user","note","item"\n"1","good\nbut, well","10"\n"2","x","11"\n'
    )
    assert pairs(nf.read_log(quoted)) == [("1", "10"), ("2", "11")]
    plain = written(tmp_path, "b.csv", 'user,note,item\nann,"good\nbut, well",10\nbob,x,11\n')
    with pytest.raises(DataError, match=r"which look like rows; .* set --quoting double"):
        nf.read_log(plain)
    options = ReadOptions(text=TextOptions(quoting="double"))
    assert pairs(nf.read_log(plain, options=options)) == [("ann", "10"), ("bob", "11")]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ("modified created", "created"),
        ("at", "at"),
        ("inserted_at event_ts", "event_ts"),
        # The time of the event comes before the one of its row.
        ("created_at clicked_at", "clicked_at"),
        ("event_at updated_at", "event_at"),
        ("eventDateTime ingested_at", "eventDateTime"),
        ("insertedat", "insertedat"),
        ("txn_ts_utc", "txn_ts_utc"),
        ("purchased_on expires_on", "purchased_on"),
        # Durations, prices and counts.
        ("watch_time view_time sale_on order like click", None),
        ("birth_date release_date posted_at start_date", None),
        # Two that are as near.
        ("order_ts view_ts", None),
    ],
)
def test_times_are_recognised_by_an_event_and_an_ending(columns: str, expected) -> None:
    names = ["user_id", "item_id", *columns.split()]
    assert resolve(names, "log.csv", EVENT_ROLES).get("timestamp") == expected


def test_notes_in_brackets_are_no_part_of_a_name() -> None:
    names = ["User ID (hashed)", "Item ID [sku]", "Event Time (UTC)", "Rating (1-5)"]
    assert list(resolve(names, "log.csv", EVENT_ROLES).values()) == [*names[:2], names[3], names[2]]
    with pytest.raises(
        DataError, match=r"'Date .UTC.', 'Date .local.' could each be the timestamp"
    ):
        resolve(["user", "item", "Date (UTC)", "Date (local)"], "log.csv", EVENT_ROLES)


@pytest.mark.parametrize(
    ("near", "far"),
    [
        ("line_items.product_id", "fulfillments.line_items.product_id"),
        ("order.items.sku", "order.refunds.items.sku"),
        ("cart.lines.sku", "cart.removed.lines.sku"),
        ("kept.lines.sku", "removed.lines.sku"),
    ],
)
@pytest.mark.parametrize("first", [0, 1])
def test_of_two_paths_the_one_with_fewer_keys_around_it_is_read(near, far, first) -> None:
    paths = [near, far] if first == 0 else [far, near]
    assert resolve(["user", *paths], "log.json", EVENT_ROLES)["item"] == near
