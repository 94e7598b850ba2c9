"""Logs whose rows look plain and say something else: lists, shortened times, what was undone."""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
import zipfile
from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SchemaError
from nearfar.data.events import titles_message, with_details
from nearfar.evaluation.text import remark_on_depths
from nearfar.jobs.first_settings import first_settings
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall
from nearfar.tables.columns import resolve
from nearfar.tables.dialect import TextOptions
from nearfar.tables.item_table import read_item_table
from nearfar.tables.roles import EVENT_ROLES
from nearfar.tables.table import ReadOptions
from tests.tables.test_unseen_logs import sizes, told, written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("user,items\n1,\"('a', 'b')\"\n2,\"('a',)\"\n", (2, 2, 3)),
        ("user,items\n1,\"{'a', 'b'}\"\n2,{'a'}\n", (2, 2, 3)),
        ('user,item_id\n1,"{10,11}"\n2,{10}\n', (2, 2, 3)),
        # Windows writes GUIDs so, and titles may stand in brackets.
        ("user,item_id\n1,{6F9619FF-8B86}\n2,{7F9619FF-8B86}\n", (2, 2, 2)),
        ("user,item\n1,(Untitled)\n2,(500) Days\n", (2, 2, 2)),
    ],
)
def test_tuples_sets_and_arrays_of_databases_are_lists(text, expected, tmp_path: Path) -> None:
    assert sizes(nf.read_log(written(tmp_path, "a.csv", text))) == expected


@pytest.mark.parametrize("cell", ["{1: 5, 2: 3}", "(1 2)", "{'a': 1}"])
def test_brackets_that_hold_something_else_are_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="have the brackets of arrays"):
        nf.read_log(written(tmp_path, "a.tsv", f"user\titems\n1\t{cell}\n"))


def test_empty_lists_are_counted(tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", 'user,items\n1,"[1,2]"\n2,[]\n'))
    assert sizes(log) == (1, 2, 2)
    assert "1 rows with empty lists are left out" in told(log)


def test_times_that_a_spreadsheet_shortened_are_refused(tmp_path: Path) -> None:
    text = "user,item,ts\n1,2,1.714559E+12\n1,3,1.714559E+12\n2,2,1714559000000\n"
    with pytest.raises(DataError, match=r"row 1: .*spreadsheet shortened"):
        nf.read_log(written(tmp_path, "a.csv", text))


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        ("user,item,returned\n1,2,0\n2,3,1\n", (1, 1, 1), "returned says yes"),
        ("user,item,Cancelled at\n1,2,\n2,3,2024-05-01\n", (1, 1, 1), "Cancelled at says yes"),
        ("user,item,liked,disliked\n1,2,1,0\n2,3,1,1\n", (1, 1, 1), "disliked says yes"),
        ("user,item,refunded\n1,2,0\n2,3,12.5\n", (2, 2, 2), "although 'refunded' is not 0"),
        ("Kunde,Artikel,Ereignis\n1,2,Kauf\n2,2,Rückgabe\n", (1, 1, 1), "'Rückgabe'"),
        ("cliente,producto,tipo\n1,2,compra\n2,2,devolución\n", (1, 1, 1), "'devolución'"),
        ("顧客番号,商品番号,区分\n1,2,購入\n2,2,返品\n", (1, 1, 1), "'返品'"),
        ("cliente,producto,tipo\n1,2,libro\n2,3,cine\n", (2, 2, 2), "kind=tipo"),
    ],
)
def test_what_was_undone_is_no_event(text, expected, said, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", text)
    log = nf.read_log(path)
    assert sizes(log) == expected
    assert said in told(log)
    assert nf.read_log(path, kind="", outcome="").n_events == 2


def test_a_pipeline_leaves_out_what_was_undone(tmp_path: Path) -> None:
    rows = "".join(f"{u},{i},2024-05-0{1 + i},{int(i == 2)}\n" for u in range(9) for i in range(4))
    written(tmp_path, "a.csv", "user,item,ts,returned\n" + rows)
    said: list[str] = []
    settings = first_settings(
        tmp_path, source=str(tmp_path / "a.csv"), as_of=date(2024, 5, 4), say=said.append
    )
    assert any("returned says yes" in line for line in said)
    assert "undone" not in settings
    frame = pl.read_csv(tmp_path / "a.csv")
    assert nf.read_log(frame).n_events == 27


@pytest.mark.parametrize(
    "header",
    [
        "N° client,Réf. produit,Date d'achat", "Nº cliente,Referencia del producto,Fecha",
        "cod_cliente,cod_produto,data_venda", "Kunden-Nr.,Art.-Nr.,Bestelldatum",
        "Customer Ref,Product Ref,Date",
    ],
)  # fmt: skip
def test_names_with_words_for_an_id_are_recognised(header: str) -> None:
    columns = header.split(",")
    found = resolve(columns, "a.csv", EVENT_ROLES)
    assert found == dict(zip(("user", "item", "timestamp"), columns, strict=True))


@pytest.mark.parametrize(
    "column", ["num_items", "n. items", "n.items", "no. of items", "item count", "Nº de items"]
)
def test_counts_of_items_are_no_items(column: str) -> None:
    with pytest.raises(SchemaError, match="no column known as the item"):
        resolve(["user", column], "a.csv", EVENT_ROLES)


def test_keys_of_a_calendar_are_no_times() -> None:
    columns = ["user", "item", "time_id"]
    assert resolve(columns, "a.csv", EVENT_ROLES) == {"user": "user", "item": "item"}


def test_a_single_column_may_be_separated_by_other_signs(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="--separator"):
        nf.read_log(written(tmp_path, "a.csv", "user^item\n1^10\n"))


def test_two_codes_of_items_are_asked_about() -> None:
    with pytest.raises(SchemaError, match="could each be the item"):
        resolve(["cliente", "cod_produto", "ref produto"], "a.csv", EVENT_ROLES)


ITEMS = "item,title\n01,Amélie\n02,Heat\n"


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (ITEMS + "01,Alien\n", "1 ids have several titles there"),
        ("item,title\n01,\n02,\n", "has 2 of the items, but not their titles"),
        ("item,title\n1,Heat\n2,Alien\n", "its ids look like 1, those of the events like '01'"),
    ],
)
def test_what_is_odd_about_item_details_is_told(items: str, said: str, tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", "user,item\n1,01\n2,02\n"))
    details = read_item_table(written(tmp_path, "items.csv", items))
    assert said in titles_message(with_details(log.item_ids, details), details)[1]


def test_item_details_may_be_written_in_the_encoding_of_the_log(tmp_path: Path) -> None:
    log = written(tmp_path, "a.csv", "user,item\n1,01\n2,02\n")
    latin = ReadOptions(text=TextOptions(encoding="latin-1"))
    for name, encoding in (("a", "latin-1"), ("b", "utf-8")):
        items = written(tmp_path, f"{name}/items.csv", ITEMS.encode(encoding))
        read = nf.read_log(log, items=items, options=latin)
        assert read.item_ids.details["title"].to_list() == ["Amélie", "Heat"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(gzip.compress(gzip.compress(b"user,item\n1,2\n")), "gzip twice"),
     ("user,item\n1,2\n".encode("utf-32"), "UTF-32")],
    ids=["gzip", "utf-32"],  # gzip writes the time
)  # fmt: skip
def test_what_utf_16_would_not_read_is_called_by_its_name(content, message, tmp_path) -> None:
    with pytest.raises(DataError, match=message):
        nf.read_log(written(tmp_path, "a.csv", content))


def test_an_unknown_id_is_told_which_ids_are_near(tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", "user,item\n0001,X1\n0002,x2\n0010,x1\n"))
    assert [log.user_ids.ids[at] for at in log.user_ids.alike("1")] == ["0001"]
    assert [log.item_ids.ids[at] for at in log.item_ids.alike("x1")] == ["X1", "x1"]


def test_a_user_with_a_third_of_a_small_log_may_be_a_robot(tmp_path: Path) -> None:
    rows = "".join(f"{u},{i}\n" for u in range(1, 81) for i in range(8))
    rows += "".join(f"999,{i % 40}\n" for i in range(300))
    assert "1 user has 32% of all events (999)" in told(
        nf.read_log(written(tmp_path, "a.csv", "user,item\n" + rows))
    )
    fair = "".join(f"{u},{i}\n" for u in range(3) for i in range(8))
    assert "of all events" not in told(
        nf.read_log(written(tmp_path, "b.csv", "user,item\n" + fair))
    )


def test_metrics_of_lists_that_hold_every_item_are_remarked_on() -> None:
    items = [(u, i) for u in range(9) for i in range(u % 3, 12)]
    x = nf.read_log({"user": [u for u, _ in items], "item": [i for _, i in items]}).interactions()
    data = nf.FoldIn(x, x)
    assert remark_on_depths([Recall(20), NDCG(20)], data).startswith("Recall@20: there are only 12")
    wide = nf.synthetic_interactions("30x200x900")
    assert remark_on_depths([Recall(20)], nf.FoldIn(wide, wide)) == ""


def test_named_levels_of_a_pandas_index_are_columns() -> None:
    frame = pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"], "rating": [1.0, 2, 3]})
    expected = nf.read_log(frame).events
    assert nf.read_log(frame.set_index("user")).events.equals(expected)
    assert nf.read_log(frame.set_index(["user", "item"])["rating"]).events.equals(expected)


def test_views_of_a_database_are_not_read_beside_its_tables(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as shop:
        shop.execute("create table events (user integer, item text)")
        shop.executemany("insert into events values (?, ?)", [(1, "a"), (1, "b"), (2, "a")])
        shop.execute("create view recent as select * from events where user = 1")
        shop.commit()
    log = nf.read_log(tmp_path / "a.db")
    assert sizes(log) == (2, 2, 3)
    assert "not read: recent" in told(log)
    only = nf.read_log(tmp_path / "a.db", options=ReadOptions(table="recent"))
    assert sizes(only) == (1, 2, 2)


def test_copies_in_a_folder_are_remarked_on(tmp_path: Path) -> None:
    for name in ("log.csv", "log (1).csv"):
        written(tmp_path, f"d/{name}", "user,item\n1,10\n2,11\n")
    written(tmp_path, "d/more.csv", "user,item\n1,10\n2,12\n")
    log = nf.read_log(tmp_path / "d")
    assert log.n_events == 6
    assert "files with the same content: log.csv and log (1).csv" in told(log)


def test_copies_in_archives_and_under_other_compression_are_remarked_on(tmp_path: Path) -> None:
    text = "user,item\n1,10\n2,11\n"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("log.csv", text)
        archive.writestr("log (copy).csv", text)
        archive.writestr("more.csv", text + "3,12\n")
    assert "files with the same content: log.csv and log (copy).csv; remove" in told(
        nf.read_log(tmp_path / "a.zip")
    )
    written(tmp_path, "d/log.csv", text)
    written(tmp_path, "d/log.csv.gz", gzip.compress(text.encode()))
    pl.DataFrame({"user": [1], "item": [10]}).write_parquet(tmp_path / "d/log.parquet")
    remark = (
        "files with the same content: log.csv.gz and log.csv; "
        "files with the same name: log.parquet and log.csv; remove"
    )
    assert remark in told(nf.read_log(tmp_path / "d"))


def test_parts_without_rows_are_not_copies(tmp_path: Path) -> None:
    part = pl.DataFrame({"user": [1, 2], "item": [7, 8]})
    part.write_parquet(tmp_path / "part-0.parquet")
    part.clear().write_parquet(tmp_path / "part-1.parquet")
    part.clear().write_parquet(tmp_path / "part-2.parquet")
    assert "same content" not in told(nf.read_log(tmp_path))
    texts = tmp_path / "texts"
    texts.mkdir()
    for name, rows in {"a.csv": "1,7\n", "b.csv": "", "c.csv": "", "c.csv.gz": ""}.items():
        content = f"user,item\n{rows}".encode()
        (texts / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert "same" not in told(nf.read_log(texts))
