"""Files with a list of items on each line: the error says so, and its advice works."""

from __future__ import annotations

from pathlib import Path

import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.dialect import TextOptions
from nearfar.tables.table import ReadOptions

LISTS = "0 0 35 4\n1 39 7 9 37 2\n2 30 41\n3\n" + "".join(f"{u} 7 9\n" for u in range(4, 40))


@pytest.mark.parametrize("header", [None, False])
@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("name", ["train.txt", "folder/users.dat"])
def test_one_user_per_line(name: str, separator: str, header: bool | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(LISTS.replace(" ", separator))
    source = path.parent if "/" in name else path
    options = ReadOptions(TextOptions(header=header))
    message = r"line 1 has 4, line 2 has 6\).*one user per line.*--format gowalla"
    with pytest.raises(DataError, match=message) as caught:
        nf.read_log(source, options=options)
    assert str(caught.value).endswith("without --no-header") == (header is False)
    log = nf.read_log(source, format="gowalla")
    assert (log.n_events, log.n_users) == (3 + 5 + 2 + 72, 39)
    assert log.read is not None
    assert log.read.format == "lines of a user and the user's items"


def test_lists_without_a_user(tmp_path: Path) -> None:
    path = tmp_path / "users.dat"
    path.write_text("3 7 9 8\n2 7 1\n3 9 8 4\n1 5\n")
    for format in (None, "gowalla"):
        with pytest.raises(DataError, match=r"the number of its items .*no cell is the user"):
            nf.read_log(path, format=format)
    path.write_text("3 7 9 8\n3 7\n3 9 8\n1 5\n")
    with pytest.raises(DataError, match="like lists of items; write one row per user"):
        nf.read_log(path)


@pytest.mark.parametrize(
    "text",
    ["1 7 5 9\n1 8 4\n2 7 5 9\n2 9 3 9\n", "1\t7\t5\n2\t\t4\n3\t8\t\n", "1 7\n2 8\n3 9\n"],
)
def test_tables_of_numbers_are_no_lists(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(SchemaError, match="it has 'column_1', 'column_2'"):
        nf.read_log(tmp_path / "a.txt")


def test_lists_beside_a_table_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "lists.dat").write_text(LISTS)
    (tmp_path / "log.csv").write_text("user,item\n1,7\n")
    log = nf.read_log(tmp_path)
    assert log.read is not None
    assert log.read.skipped_files == ["lists.dat"]
