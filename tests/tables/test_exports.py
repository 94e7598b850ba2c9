"""Exports of shops, research data and frames that were read wrongly, or refused without advice."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import polars as pl
import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions
from tests.tables.test_unseen_logs import sizes, told, written

HISTORIES = "user\titem\nU1\tN1 N2 N3\nU2\tN1 N2\nU3\tN2\nU4\tN2 N3\n"


def test_ids_between_blanks_are_asked_about(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", HISTORIES)
    with pytest.raises(DataError, match=r"row 1: .*look like lists.*--item-separator ' '"):
        nf.read_log(path)
    options = ReadOptions(rules=RowRules(item_separator=" "))
    assert sizes(nf.read_log(path, options=options)) == (4, 3, 8)


@pytest.mark.parametrize(
    "items",
    [["Toy Story 2", "Alien 3", "Alien"], ["1 234", "12", "1 234 567"], ["A 1", "A 2", "B 1"]],
)
def test_blanks_in_titles_and_numbers_are_none(items: list[str], tmp_path: Path) -> None:
    text = "user\titem\n" + "".join(f"{at}\t{item}\n" for at, item in enumerate(items * 2))
    assert nf.read_log(written(tmp_path, "a.tsv", text)).n_items == 3


def test_impressions_with_a_label_are_told(tmp_path: Path) -> None:
    text = "user\timpressions\nU1\tN55-1 N35-0\nU2\tN20-0 N55-1 N58-1\n"
    options = ReadOptions(rules=RowRules(item_separator=" "))
    log = nf.read_log(written(tmp_path, "a.tsv", text), item="impressions", options=options)
    assert "all item ids end with -0 or -1, such as 'N55-1'" in told(log)
    assert "remove the rows of the 2 ids with -0" in told(log)
    other = nf.read_log(written(tmp_path, "b.csv", "user,item\n1,A-1\n1,A-0\n2,A-2\n"))
    assert "end with" not in told(other)


@pytest.mark.parametrize(("yes", "no"), [("WAHR", "FALSCH"), ("VRAI", "FAUX"), ("VERO", "FALSO")])
def test_yes_and_no_of_spreadsheets_in_other_languages(yes: str, no: str, tmp_path: Path) -> None:
    for name, n_kept in (("purchased", 2), ("returned", 1)):
        text = f"user,item,{name}\n1,2,{yes}\n1,3,{no}\n2,2,{yes}\n"
        assert nf.read_log(written(tmp_path, f"{name}.csv", text)).n_events == n_kept


def test_single_precision_loses_digits_of_ids() -> None:
    ids = pl.Series([16_777_217.0, 2.0], dtype=pl.Float32)
    assert nf.read_log(pl.DataFrame({"user": ids - 2, "item": [1, 2]})).n_events == 2
    with pytest.raises(DataError, match=r"row 1: the user is 6.*a float holds exactly"):
        nf.read_log(pl.DataFrame({"user": ids * 4, "item": [1, 2]}))


def test_missing_ids_are_left_out_whatever_their_type() -> None:
    for kind in (pl.Int64, pl.Float64, pl.String):
        frame = pl.DataFrame({"user": pl.Series([1, None, 3]).cast(kind), "item": [1, 2, 3]})
        assert nf.read_log(frame, drop_bad_rows=True).n_events == 2


def test_archives_and_databases_under_other_names_are_named(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    with pytest.raises(DataError, match=r"is a tar archive; rename it to \.tar"):
        nf.read_log(written(tmp_path, "log.csv", stream.getvalue()))
    database = b"\0" * 8 + b"DUCK" + b"\0" * 100
    with pytest.raises(DataError, match="is a DuckDB database; write its table to Parquet"):
        nf.read_log(written(tmp_path, "log.duckdb", database))


def test_names_of_columns_without_a_header_say_how_to_have_them(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "u1,Skyrim,play\nu2,Fallout,play\n")
    with pytest.raises(DataError, match=r"no column 'column_1'.*to name columns so, set"):
        nf.read_log(path, user="column_1", item="column_2")
