"""Features of items: what columns are read as, what is refused, and what is said."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from nearfar.core.errors import DataError, NearfarError, SchemaError
from nearfar.data.item_features import ItemFeatures, read_item_features
from nearfar.tables.item_table import read_item_table
from tests.tables.test_unseen_logs import written

ROWS = [f"{i},{i * 10}" for i in range(1, 12)]


def read(folder: Path, text: str, name: str = "items.csv") -> ItemFeatures:
    return read_item_features(written(folder, name, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("item,genres\n1,a|b\n2,b\n", {"genres=a": [1, 0], "genres=b": [1, 1]}),
        ('item,tags\n1,"[""a"", ""b""]"\n2,"[""b""]"\n', {"genres=a": [1, 0], "genres=b": [1, 1]}),
        ("item;likes\n1;['a', 'b']\n2;['b']\n", {"likes=a": [1, 0], "likes=b": [1, 1]}),
        ('item,e\n1,"[0.5, 2]"\n2,"[1, 0.25]"\n', {"e=0": [0.5, 1], "e=1": [2, 0.25]}),
        ('item,codes\n1,"[7, 8]"\n2,[8]\n', {"codes=7": [1, 0], "codes=8": [1, 1]}),
        ('item,size\n1,"[7.5, 8]"\n2,[8]\n', {"size=7.5": [1, 0], "size=8": [1, 1]}),
        ("Item,Feature,Value\n1,a,2\n2,b,3\n", {"feature=a": [2, 0], "feature=b": [0, 3]}),
        ("item,price\n1,NA\n2,3\n", {"price=value": [0, 3]}),
        ("item,likes\n1,a|NA\n2,None\n", {"likes=a": [1, 0]}),
    ],
)
def test_columns_are_read_as_what_they_hold(text: str, expected, tmp_path: Path) -> None:
    features = read(tmp_path, text)
    values = [b.values.toarray()[:, i] for b in features.blocks for i in range(len(b.names))]
    assert {n: v.tolist() for n, v in zip(features.names, values, strict=True)} == expected


def test_json_lines_have_lists_vectors_and_objects(tmp_path: Path) -> None:
    lines = (
        '{"item": 1, "tags": ["a"], "e": [0.5, 2.0], "more": {"color": "red", "size": 3}}\n'
        '{"item": 2, "tags": [], "e": [1.5, 1.0], "more": {"color": "red", "size": 4}}\n'
    )
    features = read(tmp_path, lines, "items.jsonl")
    kinds = {b.column: b.kind for b in features.blocks}
    assert kinds == {"genres": "tags", "e": "vector", "more.color": "tags", "more.size": "number"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item,price,likes\n1,10,a\n2,20,a\n3,,b\n", "features: price (numbers from 10 to 20; "
         "1 of 3 items have none), likes (2 tags)"),
        ("item,price\n" + "\n".join(ROWS) + "\n12,call us\n", "values such as 'call us'"),
        ("item,price\n1,$10\n2,$20\n", "'price' looks like numbers but is read as tags"),
        ("item,price\n1,10 EUR\n2,20 EUR\n", "values such as '10 EUR'"),
        ('item,price\n1,"1,200"\n2,20\n', "values such as '1,200'"),
        ("item;price\n1;10,5\n2;20,25\n", "decimal commas in 'price'"),
        ("item,day\n1,2024-05-01\n2,2024-05-02\n", "'day' has dates such as '2024-05-01'"),
        ('item,likes\n1,"a,b"\n2,"b,c"\n3,b\n', "'likes' is not split at commas"),
        ("item,likes\n1,Red\n2,red\n", "1 tags of 'likes' differ from another tag only by case"),
        ("item,price\n1,10\n1,20\n2,5\n", "1 rows repeat an item with other values of 'price'"),
        ("item,feature,value\n1,a,1\n1,a,2\n", "1 rows repeat a feature of an item with other"),
        ("item,feature,weight\n1,a,5\n2,a,1\n", "columns not used beside 'feature': weight; name"),
        ("item,price,empty\n1,10,\n2,20,\n", "columns without values: empty"),
        ("item,price\n1,10\n,20\n2,5\n", "left out: 1 of 3 rows (33.3%): the item is missing"),
        ("item,price\n1,10\n2,20\n3,5\nTotal,35\n", "1 of 4 item ids are not whole numbers"),
    ],
)  # fmt: skip
def test_what_looks_odd_is_said(text: str, said: str, tmp_path: Path) -> None:
    assert said in "\n".join(read(tmp_path, text).remarks)


def test_what_is_plain_is_said_in_one_line(tmp_path: Path) -> None:
    text = 'item,title,likes,year\n1,"A, b",a|b,1999\n2,"B, c",b,2001\n3,C,"x, y",2001\n'
    assert read(tmp_path, text).remarks == ("features: likes (3 tags), year (numbers from 1999 to "
                                            "2001)",)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("item,attribute,value\n1,color,red\n1,size,10\n", SchemaError, "join them in a column"),
        ("item,feature,value\n1,color,red\n", DataError, "value is 'red'.*as 'color=red'"),
        ("item,feature,value\n1,a,\n", DataError, "value is None in value 1"),
        ("item,price\n1,inf\n2,3\n", DataError, "price is inf"),
        ("item,likes\n1,[a\n2,b]\n", None, ""),
        ("item,likes\n1,[a b]\n2,[c]\n", DataError, "have the brackets of arrays but are not"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, error, message: str, tmp_path: Path) -> None:
    if error is None:
        assert read(tmp_path, text).names == ["likes=[a", "likes=b]"]
        return
    with pytest.raises(error, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (pl.Series([2**63 + 1, 2], dtype=pl.UInt64), [str(2**63 + 1), "2"]),
        (pl.Series([1.0, 2.0]), [1, 2]),
        (pl.Series([" a", "a"]), ["a"]),
        (pl.Series([1.5, 2.0]), "row 1: the item is 1.5"),
    ],
)
def test_ids_of_frames_follow_the_rules_of_files(ids: pl.Series, expected) -> None:
    frame = pl.DataFrame({"item": ids, "price": [1, 2]})
    if isinstance(expected, str):
        with pytest.raises(NearfarError, match=expected):
            read_item_features(frame)
        return
    features = read_item_features(frame)
    assert features.ids.ids.to_list() == expected
    assert features.blocks[0].values.toarray()[0, 0] == 1


def test_columns_stay_with_their_rows_where_a_header_comes_again(tmp_path: Path) -> None:
    text = "item,price\n1,10\n2,price\nitem,price\n3,30\n"
    table = read_item_table(written(tmp_path, "items.csv", text))
    assert table.rows() == [(1, "10"), (2, "price"), (3, "30")]
