"""The benchmark's published preparation and nearfar's give one split, and a difference is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import prepare, reference_split


@pytest.fixture
def prepared(tmp_path) -> Path:
    prepare.write_ratings(tmp_path, 40_000)
    ours = prepare.measure_split(tmp_path, 20)
    theirs = prepare.measure_pandas(tmp_path, 20)
    assert (
        ours["rows_kept"] == theirs["rows_kept"] == prepare.measure_csr(tmp_path, 20)["rows_kept"]
    )
    return tmp_path


def test_both_ways_give_the_same_split(prepared):
    compared = prepare.compare_splits(prepared, 20)
    assert compared["same"]
    assert list(compared["rows"]) == list(reference_split.PARTS)
    assert all(rows["nearfar"] == rows["pandas"] > 0 for rows in compared["rows"].values())


@pytest.mark.parametrize("name", ["train.csv", "test_te.csv", "unique_sid.txt", "unique_uid.txt"])
def test_a_changed_row_is_told(prepared, name):
    path = prepared / prepare.REFERENCE / name
    lines = path.read_text().splitlines()
    lines[1], lines[-1] = lines[-1], lines[1]
    if name.endswith(".csv"):
        lines[1] = lines[2]
    path.write_text("\n".join(lines) + "\n")
    assert not prepare.compare_splits(prepared, 20)["same"]


@pytest.mark.slow
def test_the_benchmark_runs(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out.json"
    arguments = ["prepare", "--rows", "40000", "--rounds", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", arguments)
    prepare.main()
    result = json.loads(out.read_text())
    assert result["same_split"]
    assert result["rows"] == 40_000
    assert all(len(runs) == 2 for runs in result["rounds"].values())
    assert all(values["peak_mib"] > 20 for values in result["median"].values())
    assert "the same split: yes" in capsys.readouterr().out
