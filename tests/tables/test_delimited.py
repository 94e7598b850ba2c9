"""Delimited text: every row of the file, as Python's csv module and pandas have it."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.tables.dialect import TextOptions
from nearfar.tables.raw import RawFiles
from nearfar.tables.table import ReadOptions, open_table

SEPARATORS = ",;|\t"


def rows_of(path: Path, text: TextOptions | None = None, block_bytes: int = 1 << 20) -> list[tuple]:
    files = RawFiles(path)
    table = open_table(
        files, files.names[0], ReadOptions(text or TextOptions(), block_bytes=block_bytes)
    )
    blocks = list(table.blocks(table.columns))
    first = 1
    for frame, first_row in blocks:
        assert first_row == first
        first += frame.height
    return [tuple(map(as_read, row)) for frame, _ in blocks for row in frame.rows()]


def given_cells(separator: str) -> st.SearchStrategy[str]:
    # Lines of a cell that are cut like rows are taken for rows.
    return st.text('ab1 é."\n' + separator, max_size=6).filter(
        lambda text: not ("\n" in text and separator in text)
    )


TABLES = st.sampled_from(SEPARATORS).flatmap(
    lambda separator: st.tuples(
        st.just(separator),
        st.lists(
            st.tuples(st.text("xyz", min_size=1, max_size=3), *[given_cells(separator)] * 2),
            min_size=1, max_size=12,
        ),
    )
)  # fmt: skip


def as_read(cell: str | None) -> str | None:
    return cell or None  # an empty cell is missing, in quotes or not


@given(
    table=TABLES,
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from([None, "utf-8-sig", "utf-16", "latin-1", "cp1252"]),
    packing=st.sampled_from(["", ".gz", ".zip"]),
    block_bytes=st.integers(1, 200),
    closed=st.booleans(),
)
def test_what_a_writer_wrote_is_read(
    table, quoting, line_end, encoding, packing, block_bytes, closed, tmp_path_factory
) -> None:
    separator, rows = table
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=line_end)
    writer.writerow(["user", "item", "title"])
    writer.writerows(rows)
    content = text.getvalue()
    if not closed:
        content = content.removesuffix(line_end)
    content = content.encode(encoding or "utf-8")
    path = tmp_path_factory.mktemp("t") / f"log.csv{packing}"
    if packing == ".gz":
        path.write_bytes(gzip.compress(content))
    elif packing == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("log.csv", content)
    else:
        path.write_bytes(content)
    told = encoding if encoding in ("latin-1", "cp1252") else None
    options = TextOptions(encoding=told, quoting="double")
    expected = [tuple(map(as_read, row)) for row in rows]
    assert rows_of(path, options, block_bytes) == expected


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["1", "2", "u"]),
            st.text('x" ', max_size=5).map(lambda t: "x" + t),
            st.sampled_from(["b", '"quoted, and ""more"""', '"two\nlines"', 'in 24"', ""]),
        ),
        min_size=1, max_size=20,
    ),
    block_bytes=st.integers(1, 300),
)  # fmt: skip
def test_a_quote_counts_at_the_start_of_a_cell_only(rows, block_bytes, tmp_path_factory) -> None:
    text = "user,item,title\n" + "".join(",".join(row) + "\n" for row in rows)
    expected = [tuple(map(as_read, row)) for row in csv.reader(io.StringIO(text))][1:]
    path = tmp_path_factory.mktemp("t") / "log.csv"
    path.write_text(text)
    assert rows_of(path, block_bytes=block_bytes) == expected


@given(
    rows=st.lists(
        st.tuples(*[st.text('a"b', min_size=1, max_size=4)] * 3), min_size=1, max_size=20
    ),
    block_bytes=st.integers(1, 200),
)
def test_tabs_have_no_quotes(rows, block_bytes, tmp_path_factory) -> None:
    text = "user\titem\ttitle\n" + "".join("\t".join(row) + "\n" for row in rows)
    path = tmp_path_factory.mktemp("t") / "log.tsv"
    path.write_text(text)
    assert rows_of(path, block_bytes=block_bytes) == rows


def test_pandas_reads_the_same(tmp_path: Path) -> None:
    titles = [f'Screen {n}"' if n % 40 == 0 else f"Lamp, {n}" for n in range(2000)]
    frame = pd.DataFrame({"user": range(2000), "item": range(2000), "title": titles})
    frame.to_csv(tmp_path / "log.csv", index=False)
    again = pd.read_csv(tmp_path / "log.csv", dtype=str)
    for block_bytes in (100, 5000, 1 << 20):
        read = rows_of(tmp_path / "log.csv", block_bytes=block_bytes)
        assert read == list(again.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("user,item\r1,2\r3,4\r", [("1", "2"), ("3", "4")]),
        ("user,item\r\n1,2\r\n\r\n3,4\r\n", [("1", "2"), ("3", "4")]),
        ("\n\nuser,item\n\n1,2\n \n3,4\n\n", [("1", "2"), ("3", "4")]),
        ('user,item\n\n1,"2\n"\n\n3,4\n', [("1", "2\n"), ("3", "4")]),
        ("user item\n1 2\n3 4\n", [("1", "2"), ("3", "4")]),
        ("sep=;\nuser;item\n1;2\n3;4\n", [("1", "2"), ("3", "4")]),
        ('"user"\t"item"\n"1"\t"2"\n"3"\t"4"\n', [("1", "2"), ("3", "4")]),
        ('user, item\n1, "2"\n3,4\n', [("1", "2"), ("3", "4")]),
        ("user,item\n1,2\n3\n", [("1", "2"), ("3", None)]),
        ("user,item\n,2\n,\n", [(None, "2")]),
        ("\ufeffuser,item\n1,2\n", [("1", "2")]),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_lines(text: str, rows: list[tuple], block_bytes: int, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_bytes(text.encode())
    assert rows_of(tmp_path / "log.txt", block_bytes=block_bytes) == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'user,item,title\n1,2,a\n3,4,"open\n5,6,b\n7,8,"c"\n',
            "row 2: a double quote opens",
        ),
        ('user,item,title\n1,2,a\n3,4,"open\n5,6,b\n', "row 2: a double quote opens a cell"),
        ('user,item,title\n1,2,"Weird Al" songs\n', "row 1: text follows .*--quoting none"),
        ("user,item\n1,2\n3,4,5\n", "row 2: the row has 3 cells; expected 2"),
        ('user,item\n1,2\n"3",4,"5"\n', "row 2: the row has 3 cells; expected 2"),
        ("user,item\n1,2\n\n3,4,5\n", "row 2: the row has 3 cells"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_what_cannot_be_cut_names_its_row(
    text: str, message: str, block_bytes: int, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path / "log.csv", block_bytes=block_bytes)
    if "quoting" in message:
        read = rows_of(tmp_path / "log.csv", TextOptions(quoting="none"))
        assert read == [("1", "2", '"Weird Al" songs')]


def test_encodings_are_named_or_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes("user,item\nAmélie,1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"row 1: byte 0xe9 is not UTF-8.*--encoding latin-1"):
        rows_of(path)
    assert rows_of(path, TextOptions("latin-1")) == [("Amélie", "1")]
    path.write_bytes("user,item\nAmélie,1\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="--encoding utf-16"):
        rows_of(path)
    assert rows_of(path, TextOptions("utf-16-le")) == [("Amélie", "1")]
    path.write_bytes("user,item\nAmélie,1\n".encode())
    with pytest.raises(DataError, match="is not ascii text"):
        rows_of(path, TextOptions("ascii"))
    with pytest.raises(SettingsError, match="unknown encoding 'latin1000'"):
        rows_of(path, TextOptions("latin1000"))
    with pytest.raises(SettingsError, match="separator is 'ab'"):
        TextOptions(separator="ab")
    path.write_bytes(b"\n \n")
    with pytest.raises(EmptyDataError, match="is empty"):
        rows_of(path)


def test_a_decompression_bomb_is_stopped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("nearfar.tables.streams.SMALL_BYTES", 1 << 20)
    path = tmp_path / "log.csv.gz"
    path.write_bytes(gzip.compress(b"user,item\n" + b"1,2\n" * 2_000_000))
    with pytest.raises(DataError, match=r"expands to more than 200 times .*--max-expansion"):
        rows_of(path)
    files = RawFiles(path, max_expansion=10_000)
    table = open_table(files, path.name, ReadOptions())
    assert sum(frame.height for frame, _ in table.blocks(["user"])) == 2_000_000


def test_a_typed_block_is_text_where_a_cell_is_no_number(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,rating\n" + "1,4.5\n" * 20 + "1,NA\n" + "1,3\n" * 20)
    table = open_table(RawFiles(path), path.name, ReadOptions(block_bytes=30))
    frames = [frame for frame, _ in table.blocks(["user", "rating"], {"rating": pl.Float64})]
    assert frames[0]["rating"].dtype == pl.Float64
    assert frames[-1]["rating"].dtype == pl.String
    read = [str(value) for frame in frames for value in frame["rating"]]
    assert read[:20] == ["4.5"] * 20
    assert read[20] == "NA"
