"""`nearfar index`, and the index in `nearfar recommend`."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from nearfar.cli.main import run

pytest.importorskip("faiss")


@pytest.fixture
def index(work: Path, as_json, tmp_path: Path) -> Path:
    out = tmp_path / "index"
    found = as_json("index", work / "pia", "--out", out, "-k", "7", "--force")
    assert found["k"] == 7
    assert found["n_bytes"] == sum(p.stat().st_size for p in out.iterdir())
    assert found["measured_on"] == "500 histories made up of items drawn by popularity"
    assert 0 < found["recall"]["low"] <= found["recall"]["mean"] <= 1
    assert found["bundle"] == str(work / "pia")
    assert found["built_for"]["n_items"] == 30
    return out


def test_recommendations_are_those_without_it(
    work: Path, index: Path, as_json, capsys, tmp_path: Path
) -> None:
    asked = ("recommend", work / "pia", "--items", "1,4,17", "-k", "5")
    found, plain = as_json(*asked, "--index", index), as_json(*asked)
    assert (found.pop("n_by_index"), plain.pop("n_by_index")) == (1, 0)
    assert found == plain
    more = ("recommend", work / "pia", "--items", "1,4,17", "-k", "8")  # more than -k of the index
    assert as_json(*more, "--index", index) == as_json(*more)
    capsys.readouterr()
    assert run([*map(str, more), "--index", str(index)]) == 0
    assert "1 user was ranked over all 30 items, without the index" in capsys.readouterr().err
    file, out = tmp_path / "histories.csv", tmp_path / "found.csv"
    rows = [(user, item) for user in ("a", "b", "c") for item in (1, 2, 20)]
    pl.DataFrame(rows, schema=["user", "item"], orient="row").write_csv(file)
    asked = ("recommend", work / "pia", "--histories", file, "--out", out, "-k", "5")
    plain = as_json(*asked)
    written = out.read_text()
    found = as_json(*asked, "--index", index)
    assert (plain["n_by_index"], found["n_by_index"]) == (0, 3)
    assert out.read_text() == written


def test_recall_is_measured_on_given_histories(work: Path, as_json, tmp_path: Path) -> None:
    file = tmp_path / "histories.jsonl"
    lines = [json.dumps({"user": u, "items": [u % 30, (u + 3) % 30]}) for u in range(40)]
    file.write_text("\n".join(lines))
    asked = ("index", work / "plain", "--out", tmp_path / "x", "--histories", file, "--force")
    found = as_json(*asked, "--recall", "0.5", "-k", "4")
    assert found["measured_on"] == "40 histories that were given"
    assert found["recall"]["n_histories"] == 40
    again = as_json(*asked, "--recall", "1", "-k", "4")  # replaces the one that stands there
    assert again["recall"]["mean"] == 1


def test_it_says_what_people_want_to_know(work: Path, capsys, tmp_path: Path) -> None:
    out = str(tmp_path / "x")
    assert run(["index", str(work / "pia"), "--out", out, "--force", "-k", "7"]) == 0
    told = capsys.readouterr()
    assert "recall@7 of" in told.out
    assert "on 500 histories made up of items drawn by popularity" in told.out
    for word in ("ms per user", "one user at once", "32 users at once", "exact", "index", out):
        assert word in told.out
    assert "building the graph of 30 items" in told.err


def test_what_is_wrong_is_told(work: Path, index: Path, fails, tmp_path: Path) -> None:
    out = tmp_path / "x"
    told = fails("index", work / "pia", "--out", out, "--quiet")  # of 30 items
    assert "an index does not pay here" in told
    for kind in ("pop", "ease"):
        told = fails("index", work / kind, "--out", out)
        assert "not inner products" in told
        assert "recommend without an index" in told
    missing = tmp_path / "missing.csv"  # the model is judged before the histories are read
    told = fails("index", work / "ease", "--out", out, "--histories", missing)
    assert "not inner products" in told
    assert "recall is 1.5" in fails("index", work / "pia", "--out", out, "--recall", "1.5")
    assert "does not exist" in fails("index", work / "nothing", "--out", out)
    assert "not a nearfar index" in fails("index", work / "pia", "--out", work / "split")
    strange = tmp_path / "histories.csv"
    for text in ("user,item\na,unknown\n", "user,item\n"):
        strange.write_text(text)
        told = fails("index", work / "pia", "--out", out, "--histories", strange, "--quiet")
        assert "no history has an item that the bundle knows" in told
    assert not out.exists()
    asked = ("recommend", work / "plain", "--items", "1,4", "--index")
    assert "is the index of another bundle" in fails(*asked, index)
    assert "is not a nearfar index" in fails(*asked, work / "split")
    assert "does not exist" in fails(*asked, tmp_path / "none")
    serving = ("serve", "--registry", work, "--index", index)
    assert "an index (--index) is of one version of a registry" in fails(*serving)
