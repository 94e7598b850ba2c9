"""Comment lines above a text table are skipped, except the one that is the header."""

from __future__ import annotations

from pathlib import Path

import pytest

import nearfar as nf
from nearfar.core.errors import SchemaError
from nearfar.tables.dialect import TextOptions
from nearfar.tables.raw import RawFiles
from nearfar.tables.table import ReadOptions, open_table

GRAPH = "# Directed graph: web.txt\n# Nodes: 5 Edges: 4\n# FromNodeId\tToNodeId\n"
EDGES = "0\t38\n0\t8\n1\t8\n2\t46\n"


def log_of(folder: Path, text: str, *, header: bool | None = None, **columns: str) -> nf.Log:
    path = folder / "log.txt"
    path.write_text(text)
    options = ReadOptions(TextOptions(header=header), block_bytes=20)
    return nf.read_log(path, options=options, **columns)  # pyright: ignore[reportArgumentType]


def told(log: nf.Log) -> str:
    assert log.read is not None
    return "\n".join(log.read.lines())


def columns_of(folder: Path, text: str, header: bool | None = None) -> list[str]:
    path = folder / "columns.txt"
    path.write_text(text)
    options = ReadOptions(TextOptions(header=header))
    return open_table(RawFiles(path), path.name, options).columns


@pytest.mark.parametrize("separator", ["\t", " ", ","])
def test_the_last_comment_names_the_columns(separator: str, tmp_path: Path) -> None:
    text = (GRAPH + EDGES).replace("\t", separator)
    with pytest.raises(SchemaError, match="it has 'FromNodeId', 'ToNodeId': name them with"):
        log_of(tmp_path, text)
    log = log_of(tmp_path, text, user="FromNodeId", item="ToNodeId")
    assert (log.n_events, log.n_users, log.n_items) == (4, 3, 3)
    assert "left out: 2 lines before the header of" in told(log)
    log = log_of(tmp_path, text, header=False, user="column_1", item="column_2")
    assert log.frame["item"].to_list() == [38, 8, 8, 46]
    assert "left out: 3 lines before the first row of" in told(log)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("#user_id,item_id\n1,7\n", ["user_id", "item_id"]),
        ("% sym unweighted\n% 4 3\n1 7\n2 8\n", ["column_1", "column_2"]),
        ("% user item weight\n1 7 2\n", ["user", "item", "weight"]),
        ("# User ID\tItem ID\n1\t7\n", ["User ID", "Item ID"]),
        ("# made by Tool\n\n# Kto;Co\r\n1;7\r\n", ["Kto", "Co"]),
        ("# made by Tool, v1\nKto,Co\n1,7\n", ["Kto", "Co"]),
        ("# made by Tool, v1, 2024\nKto,Co\na,b\n", ["Kto", "Co"]),
        ("# made by Tool\n1,7\n2,8\n", ["column_1", "column_2"]),
        ("#,name,age\n1,a,b\n", ["#", "name", "age"]),
        ("#\tuser_id\titem_id\n1\t7\n", ["user_id", "item_id"]),
        ("#Kto,Co\n#a,x\nb,y\n", ["Kto", "Co"]),
    ],
)
def test_the_header_may_begin_with_the_sign(text: str, columns: list[str], tmp_path: Path) -> None:
    assert columns_of(tmp_path, text) == columns


def test_ids_may_begin_with_the_sign(tmp_path: Path) -> None:
    log = log_of(tmp_path, "#user_id,item_id\n#a,x\nb,y\n#user_id,item_id\n#c,z\n")
    assert log.frame["user"].to_list() == ["#a", "b", "#c"]
    assert "1 repeated header lines" in told(log)
    log = log_of(tmp_path, "user,tag\n1,#a\n2,#b\n", item="tag")
    assert log.frame["item"].to_list() == ["#a", "#b"]
    rows = "#a,x\n#b,x\nc,y\n"
    log = log_of(tmp_path, rows, header=False, user="column_1", item="column_2")
    assert log.frame["user"].to_list() == ["#a", "#b", "c"]
