"""Tables of items, for whichever command or service reads them."""

import gzip
from pathlib import Path

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SchemaError
from nearfar.tables import item_table
from nearfar.tables.item_table import read_item_table

TABLE = pl.DataFrame(
    {"product_id": ["a", "b", None], "Name": ["Up", " Fargo ", "x"], "year": ["2009", "1996", "1"]}
)
EXPECTED = pl.DataFrame({"item": ["a", "b"], "title": ["Up", "Fargo"], "year": ["2009", "1996"]})


@pytest.mark.parametrize("name", ["x.csv", "x.TSV", "x.parquet", "x.pq", "x.csv.gz"])
def test_columns_are_recognised_and_the_rest_is_kept(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix in (".parquet", ".pq"):
        TABLE.write_parquet(path)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(TABLE.write_csv().encode()))
    else:
        TABLE.write_csv(path, separator="\t" if path.suffix == ".TSV" else ",")
    assert read_item_table(path).equals(EXPECTED)
    assert read_item_table(path, only=True).columns == ["item", "title"]
    named = read_item_table(path, item="year", given={"title": "product_id"}, only=True)
    assert [str(value) for value in named["item"]] == ["2009", "1996", "1"]


def test_the_row_with_a_quote_in_its_title_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('item,title\n1,Monitor 24" wide\n2,TV 55" LED\n3,Lamp\n')
    assert read_item_table(path)["title"].to_list() == ['Monitor 24" wide', 'TV 55" LED', "Lamp"]


def test_float_ids_and_lists_of_genres(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"item": [101.0, 7.0, None], "title": ["A", "B", "C"], "genres": [["x"], ["y", "z"], []]}
    )
    frame.write_parquet(tmp_path / "x.parquet")
    read = read_item_table(tmp_path / "x.parquet")
    assert read["item"].to_list() == [101, 7]
    assert read["genres"].to_list() == [["x"], ["y", "z"]]


def test_a_path_is_never_a_pattern(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "a.csv")
    TABLE[:1].write_csv(tmp_path / "[a].csv")
    assert read_item_table(tmp_path / "[a].csv").height == 1


def test_what_cannot_be_read_is_refused_with_its_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no table")
    (tmp_path / "empty.csv").write_text("")
    TABLE.write_csv(tmp_path / "x.csv")
    for name, message in [
        ("x.json", "has no columns"), ("none.csv", "does not exist"),
        ("x.parquet", "damaged Parquet"), ("empty.csv", "is empty"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=rf"{name} .*{message}|{name} {message}"):
            read_item_table(tmp_path / name)
    TABLE.drop("Name").write_csv(tmp_path / "untitled.csv")
    with pytest.raises(SchemaError, match="no column known as the title"):
        read_item_table(tmp_path / "untitled.csv", need_title=True)
    monkeypatch.setattr(item_table, "MAX_ROWS", 1)
    with pytest.raises(DataError, match="more than 1 rows"):
        read_item_table(tmp_path / "x.csv")
    monkeypatch.setattr(item_table, "MAX_BYTES", 1)
    with pytest.raises(DataError, match="larger than 1 bytes"):
        read_item_table(tmp_path / "x.csv")


def test_what_is_left_out_of_item_details_is_said_with_the_log(tmp_path: Path) -> None:
    log, items = tmp_path / "log.csv", tmp_path / "items.csv"
    log.write_text("user,item\n1,7\n")
    items.write_text("item,title\n7,Heat\n,Alien\n 8 ,Up\n")
    read = nf.read_log(log, items=items).read
    assert read is not None
    assert f"{items}: left out: 1 of 3 rows (33.3%): the item is missing" in read.remarks
