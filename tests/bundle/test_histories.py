"""Files of histories in every form come out as the same matrix."""

from __future__ import annotations

import gzip
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.bundle.histories import histories_from_items
from nearfar.bundle.history_file import read_histories
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.report import ReadReport
from nearfar.tables.table import ReadOptions
from tests.bundle.cases import make_bundle

BUNDLE = make_bundle("constant")
TEXT_BUNDLE = make_bundle("constant", text=True)
USERS = {"u1": [100, 103], "u2": [], "u3": [111, 999], "u4": [888, 777, 100, 100]}
DENSE = np.zeros((4, 12))
DENSE[0, [0, 3]] = DENSE[2, 11] = DENSE[3, 0] = 1


def write(path, users=USERS) -> None:
    """The users in the form that the suffix names; rows of a table go round the users."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".jsonl"):
        lines = [json.dumps({"user": u, "items": items}) for u, items in users.items()]
        text = "\n".join(lines)
    else:
        pairs = [(u, None) for u in users]
        pairs += [(u, i) for u, items in users.items() for i in items][::-1]
        kind = pl.Int64 if all(isinstance(u, int) for u in users) else pl.String
        frame = pl.DataFrame(pairs, schema={"user_id": kind, "movieId": pl.Int64}, orient="row")
        if name.endswith(".parquet"):
            frame.write_parquet(path)
            return
        text = frame.write_csv(separator="\t" if name.endswith(".tsv") else ",")
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def whole(chunks) -> tuple[list, np.ndarray, int]:
    chunks = list(chunks)
    users = [u for c in chunks for u in c.user_ids]
    return (
        users,
        np.vstack([c.histories.toarray() for c in chunks]),
        sum(c.n_unknown for c in chunks),
    )


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "jsonl", "csv.gz", "jsonl.gz"])
@pytest.mark.parametrize("chunk_users", [1, 3, 100])
def test_every_form_and_every_chunk_size_agree(suffix, chunk_users, tmp_path) -> None:
    path = tmp_path / f"h.{suffix}"
    write(path)
    chunks = list(read_histories(BUNDLE, path, chunk_users=chunk_users))
    assert [len(c.user_ids) for c in chunks] == [c.histories.shape[0] for c in chunks]
    assert max(len(c.user_ids) for c in chunks) <= chunk_users
    users, dense, unknown = whole(chunks)
    assert users == list(USERS)
    np.testing.assert_array_equal(dense, DENSE)
    assert unknown == 3


@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_integer_users_stay_integers(suffix, tmp_path) -> None:
    path = tmp_path / f"h.{suffix}"
    write(path, {7: [100], 5: [101]})
    (chunk,) = read_histories(BUNDLE, path)
    assert chunk.user_ids.dtype == pl.Int64
    assert chunk.user_ids.to_list() == [7, 5]


def test_text_items_and_blocks_that_cut_the_file(tmp_path) -> None:
    path = tmp_path / "h.csv"
    rows = [(f"u{n % 50}", f"i{n % 13}") for n in range(900)]
    path.write_text("item,user\n" + "".join(f"{i},{u}\n" for u, i in rows))
    users, dense, unknown = whole(
        read_histories(TEXT_BUNDLE, path, options=ReadOptions(block_bytes=256))
    )
    assert users == [f"u{n}" for n in range(50)]
    expected = np.zeros((50, 12))
    for user, item in rows:
        if item != "i12":
            expected[int(user[1:]), int(item[1:])] = 1
    np.testing.assert_array_equal(dense, expected)
    assert unknown == sum(item == "i12" for _, item in rows)


def test_json_lines_in_blocks(tmp_path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text("".join(f'{{"user": {n}, "items": ["i{n % 12}"]}}\n\n' for n in range(99)))
    users, dense, _ = whole(
        read_histories(TEXT_BUNDLE, path, options=ReadOptions(block_bytes=64), chunk_users=10)
    )
    assert users == list(range(99))
    np.testing.assert_array_equal(dense.argmax(1), np.arange(99) % 12)


def test_a_user_on_two_lines_is_one_user(tmp_path) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(
        '{"user": 7, "items": [100]}\n{"user": 8, "items": []}\n{"user": 7.0, "items": [101.0]}\n'
    )
    users, dense, unknown = whole(read_histories(BUNDLE, path))
    assert (users, unknown) == ([7, 8], 0)
    assert [row.nonzero()[0].tolist() for row in dense] == [[0, 1], []]


def test_columns_may_be_named(tmp_path) -> None:
    path = tmp_path / "h.csv"
    path.write_text("who,what\na,100\n")
    with pytest.raises(SchemaError, match="user"):
        list(read_histories(BUNDLE, path))
    users, dense, _ = whole(read_histories(BUNDLE, path, user="who", item="what"))
    assert (users, dense.sum()) == (["a"], 1)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("h.xlsx", "x", r"ends in '\.xlsx'; histories are read from"),
        ("h.csv", "user,item\na,100\n,101\n", "row 2: the user is missing"),
        ("h.csv", "", "is empty"),
        ("h.parquet", "no", "a damaged Parquet file"),
        ("h.jsonl", '{"user": 1, "items": [1]}\n{"user"', "line 2 is not JSON"),
        ("h.jsonl", '\n{"user": 1}', "line 2 is .* a list 'items'"),
        ("h.jsonl", '{"user": true, "items": []}', "line 1 is"),
        ("h.jsonl", "[1]", "line 1 is"),
        ("h.jsonl", '{"user":1,"items":[]}\n{"user":"x","items":[]}', "line 2: the user is 'x'"),
    ],
)
def test_what_cannot_be_read_is_told_where(name, text, message, tmp_path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        list(read_histories(BUNDLE, tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder(tmp_path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_histories(BUNDLE, tmp_path / "absent.csv")
    (tmp_path / "h.csv").mkdir()
    with pytest.raises(DataError, match="is not a file"):
        read_histories(BUNDLE, tmp_path / "h.csv")
    with pytest.raises(DataError, match="chunk_users is 0"):
        read_histories(BUNDLE, tmp_path / "x.csv", chunk_users=0)


def test_parquet_users_beyond_64_bits(tmp_path) -> None:
    frame = pl.DataFrame({"user": [2**64 - 1], "item": [100]}, schema_overrides={"user": pl.UInt64})
    frame.write_parquet(tmp_path / "h.parquet")
    (chunk,) = read_histories(BUNDLE, tmp_path / "h.parquet")
    assert chunk.user_ids.to_list() == [str(2**64 - 1)]
    lines = f'{{"user": {2**64}, "items": [100]}}\n{{"user": 7, "items": []}}\n'
    (tmp_path / "h.jsonl").write_text(lines)
    (chunk,) = read_histories(BUNDLE, tmp_path / "h.jsonl")
    assert chunk.user_ids.to_list() == [str(2**64), "7"]
    pl.DataFrame({"user": [1.5], "item": [100]}).write_parquet(tmp_path / "h.parquet")
    with pytest.raises(DataError, match=r"row 1: the user is 1\.5; a whole number"):
        list(read_histories(BUNDLE, tmp_path / "h.parquet"))


def test_users_that_look_odd_are_remarked_on(tmp_path) -> None:
    report = ReadReport()
    (tmp_path / "h.csv").write_text("user,item\n1,100\n2,100\nTotal,2\n01,100\n")
    (chunk,) = read_histories(BUNDLE, tmp_path / "h.csv", report=report)
    assert chunk.user_ids.to_list() == ["1", "2", "Total", "01"]
    assert "as '1' and '01'" in "\n".join(report.lines())


def test_lists_of_ids_of_any_kind() -> None:
    lists = [[100, "101", 101], [], [999, "x", True, 1.5, None, 102.0], (111,)]
    histories, unknown = histories_from_items(BUNDLE, lists)
    assert [row.nonzero()[0].tolist() for row in histories.toarray()] == [[0, 1], [], [2], [11]]
    assert unknown.tolist() == [0, 0, 5, 0]
    histories, unknown = histories_from_items(TEXT_BUNDLE, [["i2", 5]])
    assert (histories.indices.tolist(), unknown.tolist()) == ([2], [1])
    histories, unknown = histories_from_items(BUNDLE, [])
    assert (histories.shape, unknown.shape) == ((0, 12), (0,))


@given(st.lists(st.lists(st.integers(95, 120)), max_size=6))
def test_known_and_unknown_add_up(lists) -> None:
    histories, unknown = histories_from_items(BUNDLE, lists)
    for row, n_unknown, ids in zip(histories.toarray(), unknown, lists, strict=True):
        known = [i - 100 for i in ids if 100 <= i < 112]
        assert row.nonzero()[0].tolist() == sorted(set(known))
        assert n_unknown == len(ids) - len(known)


def test_rows_that_are_no_events_are_of_no_history_and_their_users_stay(tmp_path) -> None:
    path = tmp_path / "h.csv"
    path.write_text(
        "user,item,event,clicked\n1,100,view,1\n1,101,impression,1\n2,102,view,0\n2,103,view,\n"
    )
    report = ReadReport()
    users, histories, n_unknown = whole(read_histories(BUNDLE, path, report=report))
    assert users == [1, 2]
    assert [list(np.flatnonzero(row)) for row in histories] == [[0], []]
    assert n_unknown == 0
    assert sorted(report.left_out.values()) == [1, 2]
    _, kept, _ = whole(read_histories(BUNDLE, path, kind="", outcome=""))
    assert kept.sum() == 4
