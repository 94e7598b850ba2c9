"""Logs as other programs write them: spreadsheets, shops, analytics, pandas, change capture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import nearfar as nf
from nearfar.core.errors import DataError, NearfarError
from nearfar.tables.columns import resolve
from nearfar.tables.dialect import TextOptions
from nearfar.tables.roles import EVENT_ROLES
from nearfar.tables.rules import RowRules
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
    # Several for a role that a log may lack, and counts.
    names = ["user", "item", "Date (UTC)", "Date (local)", "Users (total)", "Items (count)"]
    assert resolve(names, "log.csv", EVENT_ROLES) == {"user": "user", "item": "item"}
    with pytest.raises(DataError, match="no column known as the user"):
        resolve(["Users (total)", "item"], "log.csv", EVENT_ROLES)
    with pytest.raises(DataError, match="could each be the user"):
        resolve(["User (old)", "User (new)", "item"], "log.csv", EVENT_ROLES)


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


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        # Lists in each event, and lists beside the events: their values belong to no event.
        (
            lines(
                {"user": 1, "items": [{"item": 10, "labels": [{"type": "a"}, {"type": "b"}]}]},
                {"user": 2, "items": [{"item": 11, "labels": []}]},
            ),
            {"user": "user", "item": "items.item"},
        ),
        (
            lines(
                {"user": 1, "item": 10, "history": [{"created_at": 1714550400, "status": "new"}]},
                {"user": 2, "item": 11, "history": [{"created_at": 1}, {"created_at": 2}]},
            ),
            {"user": "user", "item": "item"},
        ),
        (
            lines(
                {"user": 1, "items": [{"item": 10}], "reviews": [{"rating": 5}, {"rating": 4}]},
                {"user": 2, "items": [{"item": 11}], "reviews": []},
            ),
            {"user": "user", "item": "items.item"},
        ),
        (
            lines(
                {"item": 10, "tags": [{"type": "x"}], "users": [{"user": 1, "ts": 1714550400}]},
                {"item": 11, "tags": [], "users": [{"user": 2, "ts": 1714550401}]},
            ),
            {"user": "users.user", "item": "item", "timestamp": "users.ts"},
        ),
        # The events of each item.
        (
            lines(
                {"user": 1, "item": 10, "plays": [{"ts": 1714550400}]},
                {"user": 2, "item": 11, "plays": [{"ts": 1714550401}]},
            ),
            {"user": "user", "item": "item", "timestamp": "plays.ts"},
        ),
        # Lists of values beside each other are columns.
        (
            lines(
                {"user": 1, "items": [10], "times": [7], "ratings": [4]},
                {"user": 2, "items": [11], "times": [8], "ratings": [5]},
            ),
            {"user": "user", "item": "items", "rating": "ratings", "weight": "times"},
        ),
        # pandas' to_json(orient="table").
        (
            json.dumps(
                {
                    "schema": {"fields": [{"name": "user", "type": "integer"}, {"name": "item"}]},
                    "data": [{"user": 1, "item": 10}, {"user": 2, "item": 11}],
                }
            ),
            {"user": "data.user", "item": "data.item"},
        ),
        # Objects and lists that are empty in all rows, as shops write them.
        (
            json.dumps(
                [
                    {"user": 1, "item": 10, "refunds": [], "cancelled": {}},
                    {"user": 2, "item": 11, "refunds": [], "cancelled": {}},
                ]
            ),
            {"user": "user", "item": "item"},
        ),
    ],
)
def test_each_event_of_nested_json_is_read_once(text: str, roles, tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "log.json", text))
    assert pairs(log) == [("1", "10"), ("2", "11")]
    assert log.read is not None
    assert log.read.columns == roles
    assert not log.read.contradictions


def test_lists_of_events_by_user(tmp_path: Path) -> None:
    events = {
        "ann": [{"item_id": 10, "ts": 1714550400}, {"item_id": 11, "ts": 1714550401}],
        "bob": [{"item_id": 10, "ts": 1714550402}],
        "eve": [],
    }
    log = nf.read_log(written(tmp_path, "log.json", json.dumps(events)))
    assert pairs(log) == [("ann", "10"), ("ann", "11"), ("bob", "10")]
    assert log.events["timestamp"].to_list() == [1714550400, 1714550401, 1714550402]
    assert "lists of events, whose keys count as users" in report(log)
    kinds = {"liked": events["ann"], "returned": events["bob"], "shared": events["eve"]}
    with pytest.raises(NearfarError, match="no column known as the user"):
        nf.read_log(written(tmp_path, "kinds.json", json.dumps(kinds)))


@pytest.mark.parametrize(
    "entries",
    [
        [[[10, 1714550400 + n], [11, 1714560400 + n]] for n in range(4)],
        [[["m1", "view"], ["m2", "buy"], ["m3", "view"]]] * 2,
        [[[n % 7, n % 5] for n in range(20)]] * 2,
    ],
)
def test_lists_of_an_item_and_its_rating_are_refused(entries, tmp_path: Path) -> None:
    rows = [{"user": user, "items": items} for user, items in enumerate(entries)]
    with pytest.raises(DataError, match="all lists in 'items' have 2 values, such as"):
        nf.read_log(written(tmp_path, "log.json", lines(*rows)))


def test_lists_of_sessions_are_read(tmp_path: Path) -> None:
    rows = [{"user": user, "items": [[1, 2], [2, 3], [3, 1]]} for user in range(3)]
    assert nf.read_log(written(tmp_path, "a.json", lines(*rows))).n_events == 18
    rows[0]["items"] = [[1, 2, 3]]
    assert nf.read_log(written(tmp_path, "b.json", lines(*rows * 9))).n_events == 9 * 15


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "log.json has no columns; rows with a user and an item were expected"),
        ("{}", "log.json has no columns"),
        (
            '[{"user": 1, "item": 2}]\n[{"user": 1, "item": 3}]',
            r"row 2: text follows the end of the array, such as '\[\{\"user\": 1",
        ),
    ],
)
def test_what_is_wrong_with_json_is_said(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        nf.read_log(written(tmp_path, "log.json", text))


def test_an_empty_user_column_names_the_others(tmp_path: Path) -> None:
    rows = [{"user_id": None, "user_pseudo_id": "a.1", "item": 10}]
    with pytest.raises(DataError, match="--user-column, such as 'user_pseudo_id'"):
        nf.read_log(written(tmp_path, "log.json", lines(*rows * 2)))
    rows = [{"user": 1, "lines": [{"item_id": n, "product_id": 7}]} for n in range(3)]
    log = nf.read_log(written(tmp_path, "orders.json", lines(*rows)))
    assert "'lines.product_id' could also be the item" in report(log)


def test_deleted_rows_of_change_capture_are_reported_and_can_be_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "Op,user_id,item_id\nI,1,10\nI,2,11\nD,1,10\nd,2,11\n")
    log = nf.read_log(path)
    assert log.n_events == 4
    assert log.read is not None
    assert list(log.read.contradictions.values()) == [1, 1]
    assert "although 'Op' is 'D' (--kind-column Op leaves them out" in report(log)
    assert pairs(nf.read_log(path, kind="Op")) == [("1", "10"), ("2", "11")]
    downloads = written(tmp_path, "b.csv", "code,user_id,item_id\nI,1,10\nD,1,11\n")
    assert nf.read_log(downloads, kind="code").n_events == 2


@pytest.mark.parametrize(
    "column", ["active", "is_valid", "success", "completed", "watched", "is_read"]
)
def test_rows_that_did_not_come_about_are_reported(column: str, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", f"user,item,{column}\n1,10,true\n2,11,false\n")
    log = nf.read_log(path)
    assert log.n_events == 2
    assert f"although {column!r} says no (--outcome-column {column} leaves them out" in report(log)
    assert pairs(nf.read_log(path, outcome=column)) == [("1", "10")]
    path = written(tmp_path, "b.csv", f"user,item,{column}\n1,10,3\n2,11,0\n")
    assert "although" not in report(nf.read_log(path))


def test_a_column_of_one_value_is_not_silently_the_item(tmp_path: Path) -> None:
    rows = "".join(f"shop,{user},{user * 7}\n" for user in range(40))
    log = nf.read_log(written(tmp_path, "a.csv", "app_id,user_id,sku_label\n" + rows))
    assert "all 40 events are of one item; check that 'app_id' is the item" in report(log)
    staff = "".join(f"{n % 2},{n % 60}\n" for n in range(120))
    log = nf.read_log(written(tmp_path, "b.csv", "user_id,item_id\n" + staff))
    assert "all 120 events are of 2 users; check that 'user_id' is the user" in report(log)
    few = "".join(f"{n % 6},{n % 5}\n" for n in range(30))
    assert "check that" not in report(nf.read_log(written(tmp_path, "c.csv", "user,item\n" + few)))


def test_ratings_behind_the_items_are_remarked_on(tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", "user,items\n1,m1:5 m2:4\n2,m1:4 m3:5\n"))
    assert "all 4 item ids end with a number after a colon, such as 'm1:5', and only 3" in report(
        log
    )
    uris = "user,item\n1,spotify:track:1\n2,spotify:track:2\n3,spotify:track:3\n"
    assert "after a colon" not in report(nf.read_log(written(tmp_path, "b.csv", uris)))


@pytest.mark.parametrize("word", ["?", ".", "not_logged_in", "(direct)", "missing"])
def test_signs_for_an_unknown_user_are_remarked_on(word: str, tmp_path: Path) -> None:
    rows = f"a,1\n{word},1\nb,2\nc,1\n"
    log = nf.read_log(written(tmp_path, "a.csv", "user,item\n" + rows))
    assert f"user {word!r} has 1 events and may stand for all users without" in report(log)


@pytest.mark.parametrize(
    ("columns", "row", "expected"),
    [
        ("year,month,day", "2024,5,1", 1714521600),
        ("Year,Month,Day,Hour", "2024,05,01,9", 1714521600 + 9 * 3600),
        # Another time is better, and these are no days.
        ("year,month,day,ts", "2024,5,1,1714550400", 1714550400),
        ("year,month,day", "2024,May,1", None),
        ("year,month", "2024,5", None),
    ],
)
def test_years_months_and_days_in_columns_are_a_time(columns, row, expected, tmp_path) -> None:
    path = written(tmp_path, "a.csv", f"user,item,{columns}\n1,10,{row}\n2,11,{row}\n")
    log = nf.read_log(path)
    times = log.events["timestamp"].to_list() if log.has("timestamp") else [None] * 2
    assert times == [expected] * 2
    if expected is None or "ts" in columns:
        return
    assert log.read is not None
    assert log.read.columns["timestamp"] == columns.replace(",", " + ")
    assert not log.read.unused_columns
    assert not nf.read_log(path, timestamp="").has("timestamp")


def test_days_of_folders_are_times_of_a_log(tmp_path: Path) -> None:
    for day in ("01", "02"):
        folder = tmp_path / "log" / "year=2024" / "month=05" / f"day={day}"
        folder.mkdir(parents=True)
        written(folder, "part.csv", f"user,item\n{day},1\n")
    log = nf.read_log(tmp_path / "log")
    assert log.events["timestamp"].to_list() == [1714521600, 1714521600 + 86400]


def test_julian_days_are_said_to_count_steps(tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", "user,item,ts\n1,10,2460432.5\n2,11,2460433.5\n"))
    assert "the times look like Julian days, but are read as numbers that count" in report(log)


@pytest.mark.parametrize(
    "columns",
    [
        "hashed_user_id hashed_item_id",
        "user_uuid item_uuid",
        "customer_sk product_sk",
        "Номер|клиента Код|товара",
        "Nr|klienta Kod|produktu",
        "student_id course_id",
        "user_id restaurant_id",
        "Buyer|Email Product|SKU",
    ],
)
def test_ids_are_recognised_by_other_words(columns: str) -> None:
    user, item = columns.replace("|", "\t").split(" ")
    names = [user.replace("\t", " "), item.replace("\t", " ")]
    resolved = resolve([*names, "nr_items", "nr of users"], "log.csv", EVENT_ROLES)
    assert [resolved["user"], resolved["item"]] == names


def test_numbers_under_a_plural_name_may_be_counts(tmp_path: Path) -> None:
    rows = "".join(f"{user},{user % 3 + 1},9.5\n" for user in range(30))
    log = nf.read_log(written(tmp_path, "a.csv", "user_id,items,total\n" + rows))
    assert "'items' holds numbers from 1 to 3; check that they are ids of items" in report(log)
    lists = "".join(f'{user},"[1, 2, 3]"\n' for user in range(30))
    log = nf.read_log(written(tmp_path, "b.csv", "user_id,items\n" + lists))
    assert "check that they are ids" not in report(log)
    singular = nf.read_log(written(tmp_path, "c.csv", "user_id,item,total\n" + rows))
    assert "check that they are ids" not in report(singular)


def test_days_of_digits_with_the_year_last_are_no_steps(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "user,item,date\n1,10,02052024\n2,11,31122023\n")
    with pytest.raises(DataError, match="times such as 2052024 look like DDMMYYYY or MMDDYYYY"):
        nf.read_log(path)
    options = ReadOptions(rules=RowRules(time_format="%d%m%Y"))
    log = nf.read_log(path, options=options)
    assert log.events["timestamp"].to_list() == [1714608000, 1703980800]


def test_lists_and_tables_of_databases(tmp_path: Path) -> None:
    hive = "user\x01item\n1\x0110\x0211\n2\x0110\n"
    log = nf.read_log(written(tmp_path, "000000_0", hive))
    assert pairs(log) == [("1", "10"), ("1", "11"), ("2", "10")]
    assert r"'item' holds lists separated by '\x02': 2 rows are read as 3 events" in report(log)
    rule = "   USER_ID    ITEM_ID\n---------- ----------\n"
    printed = f"\n{rule}         1         10\n\n{rule}         2         11\n\n2 rows selected.\n"
    assert pairs(nf.read_log(written(tmp_path, "sqlplus.txt", printed))) == [
        ("1", "10"),
        ("2", "11"),
    ]
    types = "user\titem\nUInt64\tString\n1\tm1\n2\tm2\n"
    log = nf.read_log(written(tmp_path, "clickhouse.tsv", types))
    assert "1 rows such as that of user 'UInt64' and item 'String' may be lines of a header" in (
        report(log)
    )


def test_columns_of_items_are_named_in_the_error(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "user,item_1,item_2,item_3\n1,a,b,c\n")
    with pytest.raises(DataError, match="write one row per user and item first"):
        nf.read_log(path)
