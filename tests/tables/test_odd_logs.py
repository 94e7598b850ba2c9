"""Logs whose rows look plain and say something else: lists, shortened times, what was undone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.jobs.starting import first_settings
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
    with pytest.raises(DataError, match="begin and end as arrays"):
        nf.read_log(written(tmp_path, "a.tsv", f"user\titems\n1\t{cell}\n"))


def test_empty_lists_are_counted(tmp_path: Path) -> None:
    log = nf.read_log(written(tmp_path, "a.csv", 'user,items\n1,"[1,2]"\n2,[]\n'))
    assert sizes(log) == (1, 2, 2)
    assert "1 rows hold nothing and are left out" in told(log)


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
        ("user,item,refunded\n1,2,0\n2,3,12.5\n", (2, 2, 2), "columns not used: refunded"),
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
