"""`nearfar tune` as a user would type it."""

import json
from pathlib import Path

import pytest

from nearfar.cli.main import run
from tests.cli.conftest import TINY
from tests.train.test_trackers import events_of

pytest.importorskip("optuna")


def test_it_finds_settings_that_train_takes(work: Path, tmp_path: Path, as_json) -> None:
    found = as_json(
        "tune", "ease", "--data", work / "split", "--trials", 6, "--out", tmp_path / "t",
        "--track", f"tensorboard:{tmp_path / 'logs'}",
    )  # fmt: skip
    assert len(found["trials"]) == 6
    scores = [t["score"] for t in found["trials"]]
    assert found["best"]["score"] == max(scores)
    tracked = [events_of(tmp_path / "logs" / "t" / f"trial_{n}") for n in range(6)]
    logged = [values["measured/NDCG_at_100"][0][1] for values in tracked]
    assert logged == pytest.approx(scores)
    assert found["trials"] == json.loads((tmp_path / "t" / "trials.json").read_text())["trials"]
    made = as_json(
        "train", "ease", "--data", work / "split", "--config", tmp_path / "t" / "best.toml",
        "--out", tmp_path / "ease",
    )  # fmt: skip
    assert made["settings"]["l2"] == found["settings"]["l2"]
    assert made["metrics"]["validation"]["metrics"]["NDCG@100"]["mean"] == max(scores)


def test_the_alignment_is_searched_where_it_is_switched_on(work, tmp_path, capsys) -> None:
    arguments = [
        "tune", "multvae", *TINY, "--set", "alignment=pia", "--only", "alignment.weight",
        "--data", str(work / "split"), "--trials", "2", "--out", str(tmp_path),
    ]  # fmt: skip
    assert run(arguments) == 0
    captured = capsys.readouterr()
    assert "trial 1: alignment.weight=" in captured.err
    assert "alignment = { weight = " in captured.out
    assert f"--config {tmp_path}/best.toml" in captured.out


def test_a_budget_that_is_used_up_says_how_to_go_on(work, tmp_path, capsys) -> None:
    arguments = ["tune", "ease", "--data", str(work / "split"), "--trials", "3", "--out",
                 str(tmp_path), "--quiet"]  # fmt: skip
    assert run([*arguments, "--budget", "0"]) == 3
    told = capsys.readouterr().err
    assert f"continue with: nearfar tune ease --data {work / 'split'} --trials 3" in told
    assert run(arguments) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["popularity"], "no search space is kept for popularity"),
        (["ease", "--only", "l3"], "did you mean 'l2'"),
        (["ease", "--set", "l3=1"], "did you mean 'l2'"),
        (["easy"], "did you mean 'ease'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(work, fails, tmp_path, arguments, told) -> None:
    error = fails("tune", *arguments, "--data", work / "split", "--out", tmp_path / "out")
    assert told in error


def test_a_log_is_no_split(work: Path, fails) -> None:
    assert "make one of a log by nearfar data split LOG --out SPLIT" in fails(
        "tune", "ease", "--data", work / "log.csv"
    )
