"""`nearfar map` from a log to files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from nearfar.cli.main import run
from tests.cli.conftest import write_log

SIZES = ["--sizes", "6,9,12", "--projection", "pca"]


def test_help_teaches_and_lists_the_common_options(capsys) -> None:
    assert run(["map", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--json", "--seed", "--device", "--quiet", "--debug", "--users", "--by"):
        assert option in told


def test_bundles_become_a_picture_and_a_page(work: Path, as_json, tmp_path: Path) -> None:
    files = [tmp_path / "map.svg", tmp_path / "map.html"]
    outs = [part for file in files for part in ("--out", file)]
    found = as_json("map", work / "plain", work / "pia", "--data", work / "split", *outs, *SIZES)
    assert found["figures"] == [str(f) for f in files]
    assert all(f.stat().st_size > 10_000 for f in files)
    assert set(found["panels"]) == {"plain", "pia"}
    assert [g["size"] for g in found["cohorts"]] == [6, 9, 12]
    assert found["n_users"] == sum(g["n_drawn"] for g in found["cohorts"])
    measured = as_json("evaluate", work / "pia", "--data", work / "split", "--metrics", "ndcg@100")
    assert found["panels"]["pia"]["NDCG@100"] == measured["metrics"]["NDCG@100"]["mean"]
    assert found["panels"]["plain"]["anchors"] is None
    assert found["panels"]["pia"]["anchors"]["n"] == 30
    svg = files[0].read_text()
    assert "item anchor" in svg
    assert ">plain<" in svg
    again = as_json(
        "map", work / "plain", work / "pia", "--data", work / "split", "--out",
        tmp_path / "again.svg", *SIZES,
    )  # fmt: skip
    assert again["panels"] == found["panels"]
    assert (tmp_path / "again.svg").read_bytes() == files[0].read_bytes()


def test_people_are_told_numbers_and_how_users_were_chosen(work, tmp_path, capsys) -> None:
    arguments = ["map", work / "plain", "--data", work / "split", "--out", tmp_path / "m.png"]
    assert run([*map(str, arguments), *SIZES, "--users", "60", "--of", "train"]) == 0
    captured = capsys.readouterr()
    assert "silhouette" in captured.out
    assert "6 to 12" in captured.out
    assert "users drawn" in captured.err
    assert "plain: 60 users by PCA" in captured.err


def test_by_genre_of_the_items(as_json, fails, work: Path, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv")
    details = pl.DataFrame(
        {"item": range(30), "title": [f"Film {i}" for i in range(30)],
         "genres": ["Odd|Film"] * 15 + ["Even|Film"] * 15}
    )  # fmt: skip
    details.write_csv(tmp_path / "items.csv")
    arguments = [
        "data", "split", log, "--out", tmp_path / "split", "--held-out", "0.2",
        "--item-details", tmp_path / "items.csv", "--quiet",
    ]  # fmt: skip
    assert run(list(map(str, arguments))) == 0
    found = as_json(
        "map", work / "plain", "--data", tmp_path / "split", "--out", tmp_path / "m.png", "--by",
        "genre", "--projection", "pca",
    )  # fmt: skip
    assert {g["name"] for g in found["cohorts"]} == {"Odd", "Even"}
    # the log has two tastes that share nothing, and any model of it tells them apart
    assert found["panels"]["plain"]["knn_purity"]["mean"] > 0.8
    assert found["panels"]["plain"]["distances"]["by_size"] is None
    out = str(tmp_path / "n.png")
    told = fails("map", work / "plain", "--data", work / "split", "--out", out, "--by", "genre")
    assert "no genres" in told


def test_what_cannot_be_mapped_is_told(work: Path, fails, tmp_path: Path, monkeypatch) -> None:
    common = ["--data", work / "split", "--out", tmp_path / "m.png"]
    assert "bundle of ease, which has no latent space" in fails("map", work / "ease", *common)
    assert "choose other sizes" in fails("map", work / "plain", *common, "--sizes", "900,950")
    assert "numbers such as 5,50,350" in fails("map", work / "plain", *common, "--sizes", "5-50")
    assert "unknown projection" in fails("map", work / "plain", *common, "--projection", "mds")
    wrong = ["--data", work / "split", "--out", tmp_path / "m.gif"]
    assert ".gif; maps are drawn as" in fails("map", work / "plain", *wrong)
    fails("map", work / "plain", work / "plain", *common, code=2)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "nearfar.core.extras.find_spec", lambda m: None if m == "openTSNE" else real(m)
    )
    assert "pip install 'nearfar[maps]'" in fails("map", work / "plain", *common)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_defaults_draw_by_t_sne(work: Path, as_json, tmp_path: Path) -> None:
    found = as_json(
        "map", work / "pia", "--data", work / "split", "--out", tmp_path / "m.png",
        "--sizes", "6,12",
    )  # fmt: skip
    assert found["projection"] == "t-SNE"
    assert found["panels"]["pia"]["trustworthiness"]["value"] > 0.6
