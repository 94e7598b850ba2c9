"""`nearfar report` from bundles and a split to a page."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.data.splits.folder import load_split
from tests.pages.reading import Page

QUICK = ["--no-map", "--no-diagnostics"]


def test_help_teaches_and_lists_the_common_options(capsys) -> None:
    assert run(["report", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--json", "--seed", "--device", "--quiet", "--debug", "--users", "--no-map"):
        assert option in told


@pytest.mark.slow
def test_bundles_become_a_page(work: Path, as_json, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    found = as_json(
        "report", work / "pop", work / "plain", "--data", work / "split", "--out", out,
        "--users", 60,
    )  # fmt: skip
    assert found["page"] == str(out)
    assert list(found["bundles"]) == ["pop", "plain"]
    assert found["map"]["n_users"] <= 60
    assert set(found["diagnosis"]["findings"])
    assert found["notes"] == []
    measured = as_json("evaluate", work / "plain", "--data", work / "split")
    value = found["evaluations"]["plain"]["metrics"]["NDCG@100"]["mean"]
    assert value == measured["metrics"]["NDCG@100"]["mean"]
    page = Page(out.read_text())
    page.check_asks_nothing_of_others()
    line = f"nearfar report {work / 'pop'} {work / 'plain'} --data {work / 'split'} --out {out}"
    assert f"{line} --users 60" in page.words
    assert f"nearfar train popularity --data {work / 'split'} --out pop --seed 0" in page.words


def test_people_are_told_how_it_goes_and_what_it_came_to(work, tmp_path, capsys) -> None:
    out = tmp_path / "page.html"
    arguments = ["report", work / "pop", "--data", work / "split", "--out", out, *QUICK]
    assert run(list(map(str, arguments))) == 0
    captured = capsys.readouterr()
    assert "NDCG@100" in captured.out
    assert str(out) in captured.out
    assert "pop: recommending" in captured.err
    first = out.read_bytes()
    assert run([*map(str, arguments), "--quiet"]) == 0
    assert "pop: recommending" not in capsys.readouterr().err
    assert out.read_bytes() == first


def test_a_folder_of_bundles_stands_for_all(work: Path, as_json, tmp_path: Path) -> None:
    for name in ("pop", "ease"):
        shutil.copytree(work / name, tmp_path / "some" / name)
    (tmp_path / "some" / "notes.txt").write_text("no bundle")
    out = tmp_path / "page.html"
    found = as_json(
        "report", tmp_path / "some", work / "plain", "--data", work / "split", "--out", out, *QUICK
    )
    assert list(found["bundles"]) == ["ease", "pop", "plain"]


def test_a_study_stands_for_its_models_of_the_split(work, as_json, fails, tmp_path: Path) -> None:
    study = tmp_path / "study"
    split = load_split(work / "split").fingerprint
    for name, of in (("pop", split), ("ease", "another split")):
        shutil.copytree(work / name, study / "models" / name)
        (study / "cells").mkdir(exist_ok=True)
        content = {"identity": {"split": of}, "test": {"name": f"The {name}"}}
        (study / "cells" / f"{name}.json").write_text(json.dumps(content))
    common = ["--data", work / "split", "--out", tmp_path / "page.html", *QUICK]
    assert list(as_json("report", study, *common)["bundles"]) == ["The pop"]
    mixed = as_json("report", study, work / "ease", *common)  # the first is the baseline
    assert list(mixed["bundles"]) == ["The pop", "ease"]
    shutil.copytree(work / "ease", tmp_path / "The pop")
    same = as_json("report", tmp_path / "The pop", study, *common)["bundles"]
    assert list(same) == [f"The pop ({path})" for path in same.values()]
    shutil.rmtree(study / "models" / "pop")
    assert "--keep-models" in fails("report", study, *common)


def test_a_bundle_of_other_users_is_warned_of(work: Path, tmp_path: Path, capsys) -> None:
    arguments = ["data", "split", work / "log.csv", "--out", tmp_path / "other", "--held-out",
                 "0.2", "--split-seed", "7", "--quiet"]  # fmt: skip
    assert run(list(map(str, arguments))) == 0
    out = tmp_path / "page.html"
    arguments = ["report", work / "pop", "--data", tmp_path / "other", "--out", out, *QUICK]
    assert run(list(map(str, arguments))) == 0
    assert "may have seen" in capsys.readouterr().err
    assert "may have seen" in Page(out.read_text()).words


def test_what_cannot_be_done_is_told_before_the_work(work, fails, tmp_path, monkeypatch) -> None:
    common = ["--data", work / "split", *QUICK]
    out = ["--out", tmp_path / "page.html"]
    wrong = fails("report", work / "pop", *common, "--out", tmp_path / "page.png")
    assert "ends in .png; a report is a .html file" in wrong
    (tmp_path / "empty").mkdir()
    assert "is not a nearfar bundle" in fails("report", tmp_path / "empty", *common, *out)
    assert "does not exist" in fails("report", tmp_path / "nothing", *common, *out)
    fails("report", work / "pop", work / "pop", *common, *out, code=2)
    fails("report", work / "pop", *common, *out, "--users", "3", code=2)
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "nearfar.core.extras.find_spec", lambda m: None if m == "plotly" else real(m)
    )
    assert "pip install 'nearfar[maps]'" in fails("report", work / "pop", *common, *out)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("name", ["plain", "pia"])
def test_an_autoencoder_alone_is_mapped(name: str, work: Path, as_json, tmp_path: Path) -> None:
    found = as_json(
        "report", work / name, "--data", work / "split", "--out", tmp_path / "p.html",
        "--no-diagnostics", "--users", 60,
    )  # fmt: skip
    assert list(found["map"]["panels"]) == [name]
    assert found["diagnosis"] is None
