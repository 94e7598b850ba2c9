"""`nearfar diagnose` on bundles that commands made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nearfar.cli.main import run

FEW = ["--users", "60", "--sharing-users", "20", "--masks", "3"]


def test_help_teaches(capsys) -> None:
    assert run(["diagnose", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--compare", "--users", "--only", "--json", "--seed", "--device", "--debug"):
        assert option in told


@pytest.mark.slow
def test_bundles_side_by_side_as_json_and_files(work: Path, as_json, tmp_path: Path) -> None:
    files = [tmp_path / "d.json", tmp_path / "d.svg"]
    outs = [part for file in files for part in ("--out", file)]
    arguments = ["diagnose", work / "plain", "--compare", work / "pia", "--data", work / "split"]
    found = as_json(*arguments, *FEW, *outs)
    assert found["n_users"] == 60
    assert set(found["findings"]["health"]) == {"plain", "pia"}
    assert found["findings"]["alignment"]["plain"]["absent"]
    assert found["findings"]["alignment"]["pia"]["numbers"]
    assert len(found["neighbours_in_common"]) == 1
    assert json.loads(files[0].read_text()) == found
    assert b"Sharing" in files[1].read_bytes() or b"Whose step" in files[1].read_bytes()
    again = as_json(*arguments, *FEW)
    assert again["findings"] == found["findings"]


def test_people_read_tables_and_what_they_say(work: Path, capsys) -> None:
    arguments = ["diagnose", work / "plain", "--data", work / "split", *FEW]
    assert run([*map(str, arguments), "--only", "health,sharing,alignment"]) == 0
    captured = capsys.readouterr()
    assert "60 users, 3 instruments, 1 bundle: about" in captured.err
    assert "plain: Sharing radius ..." in captured.err
    assert "Theorem 2.3" in captured.out
    assert "dimensions tell something of the user" in captured.out
    assert "not measured: the model was trained without PIA" in captured.out
    assert "nearest neighbours in common" not in captured.out


def test_a_bundle_of_other_users_is_warned_of(work: Path, tmp_path: Path, capsys) -> None:
    other = tmp_path / "other"
    split = ["data", "split", str(work / "log.csv"), "--out", str(other), "--seed", "9"]
    assert run([*split, "--held-out", "0.2", "--quiet"]) == 0
    for data, warned in ((work / "split", False), (other, True)):
        capsys.readouterr()
        arguments = ["diagnose", work / "plain", "--data", data, *FEW, "--only", "health"]
        assert run([*map(str, arguments)]) == 0
        assert ("plain was not trained on this split" in capsys.readouterr().err) is warned


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["pop"], "no latent space"),
        (["plain", "--only", "sharing,nonsense"], "'nonsense'; expected alignment"),
        (["plain", "--out", "x.txt"], ".txt"),
        (["plain", "--keep-prob", "1"], "keep_prob is 1"),
    ],
)
def test_bad_wishes_are_refused(work: Path, fails, arguments: list[str], told: str) -> None:
    first = str(work / arguments[0])
    assert told in fails("diagnose", first, "--data", work / "split", *FEW, *arguments[1:])
