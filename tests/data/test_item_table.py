"""Tables of items, whoever reads them."""

from pathlib import Path

import polars as pl
import pytest

from nearfar.core.errors import DataError
from nearfar.data import item_table
from nearfar.data.item_table import read_item_table

TABLE = pl.DataFrame({"id": ["a", "b"], "name": ["Up", "Fargo"], "year": ["2009", "1996"]})


def chosen(names) -> dict[str, str]:
    assert list(names) == TABLE.columns
    return {"title": "name", "item": "id"}


@pytest.mark.parametrize("name", ["x.csv", "x.TSV", "x.parquet", "x.pq"])
def test_the_chosen_columns_have_the_chosen_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if path.suffix in item_table.PARQUET:
        TABLE.write_parquet(path)
    else:
        TABLE.write_csv(path, separator=item_table.SEPARATORS[path.suffix.lower()])
    expected = pl.DataFrame({"title": ["Up", "Fargo"], "item": ["a", "b"]})
    assert read_item_table(path, chosen).equals(expected)


def test_a_path_is_never_a_pattern(tmp_path: Path) -> None:
    TABLE.write_csv(tmp_path / "a.csv")
    TABLE[:1].write_csv(tmp_path / "[a].csv")
    assert read_item_table(tmp_path / "[a].csv", chosen).height == 1


def test_what_cannot_be_read_is_refused_with_its_name(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.parquet").write_text("no table")
    (tmp_path / "empty.csv").write_text("")
    TABLE.write_csv(tmp_path / "x.csv")
    for name, told in [
        ("x.json", "no .csv"), ("none.csv", "does not exist"), ("x.parquet", "cannot be read"),
        ("empty.csv", "cannot be read"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=rf"{name} .*{told}"):
            read_item_table(tmp_path / name, chosen)
    monkeypatch.setattr(item_table, "MAX_ROWS", 1)
    with pytest.raises(DataError, match="more than 1 rows"):
        read_item_table(tmp_path / "x.csv", chosen)
    monkeypatch.setattr(item_table, "MAX_BYTES", 1)
    with pytest.raises(DataError, match="larger than 1 bytes"):
        read_item_table(tmp_path / "x.csv", chosen)
