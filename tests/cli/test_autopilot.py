"""`nearfar autopilot` as a user would type it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.experiments.autopilot import fitting, time_budget
from nearfar.experiments.autopilot.search import FamilySearch
from tests.experiments.autopilot.cases import ProcessorTime
from tests.train.test_trackers import events_of

LINEAR = ["--only", "popularity,ease,edlae", "--minutes", "0.03"]


@pytest.fixture(autouse=True)
def processor_time(monkeypatch) -> None:
    for module in (fitting, time_budget):
        monkeypatch.setattr(module, "time", ProcessorTime)


def test_help_teaches(capsys) -> None:
    assert run(["autopilot", "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--minutes", "--for", "--only", "--time-split", "--seed", "--json", "--quiet",
                   "--min-user", "--device", "--debug"):  # fmt: skip
        assert option in told
    assert "nearfar autopilot events.parquet --out best --minutes 30" in told
    assert "130" in told


def test_from_a_log_to_a_bundle_that_recommends(work: Path, tmp_path: Path, as_json) -> None:
    out = tmp_path / "best"
    found = as_json("autopilot", work / "log.csv", "--out", out, *LINEAR)
    board = found["leaderboard"]
    assert board["winner"] in ("ease", "edlae")
    assert {row["family"] for row in board["rows"]} == {"popularity", "ease", "edlae"}
    for row in board["rows"]:
        summary = row["validation"]["NDCG@100"]
        assert summary["low"] < summary["mean"] < summary["high"]
        assert (row["versus_winner"] is None) == (row["family"] == board["winner"])
        assert row["fit_seconds"] >= 0
        assert row["users_per_second"] > 0
        assert row["mib"] >= 0
    assert found["stopped"] is None
    ranked = as_json("recommend", out, "--items", "1,2,3", "-k", 3)
    assert len(ranked["recommended"]) == 3
    assert json.loads((tmp_path / "best.autopilot" / "leaderboard.json").read_text()) == {
        k: v for k, v in found.items() if k != "page"
    }


def test_people_are_told_who_won(work: Path, tmp_path: Path, capsys) -> None:
    assert run(["autopilot", str(work / "log.csv"), "--out", str(tmp_path / "b"), *LINEAR]) == 0
    captured = capsys.readouterr()
    assert "A linear model wins: " in captured.out
    assert "winner" in captured.out
    assert "min left" in captured.err
    assert f"saved {tmp_path / 'b'}, fitted on all users" in captured.out


def test_quiet_says_nothing_of_the_search_and_each_fit_is_tracked(
    work: Path, tmp_path: Path, capsys
) -> None:
    logs, out = tmp_path / "logs", tmp_path / "b"
    arguments = ["autopilot", str(work / "log.csv"), "--out", str(out), *LINEAR]
    assert run([*arguments, "--quiet", "--track", f"tensorboard:{logs}"]) == 0
    assert capsys.readouterr().err == ""
    found = json.loads((tmp_path / "b.autopilot" / "leaderboard.json").read_text())
    tracked = [events_of(folder) for folder in (logs / "b").iterdir()]
    assert len(tracked) == found["n_trials"] + 1  # and the winner on all users
    assert sum("measured/NDCG_at_100" in values for values in tracked) == found["n_trials"]


def test_ctrl_c_says_how_to_go_on(work: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    def interrupted(self) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(FamilySearch, "_rounds", interrupted)
    arguments = ["autopilot", str(work / "log.csv"), "--out", str(tmp_path / "b"), *LINEAR]
    assert run(arguments) == 130
    captured = capsys.readouterr()
    assert "stopped by hand; continue with: nearfar autopilot" in captured.err
    assert f"--out {tmp_path / 'b'}" in captured.err
    assert "EASE" in captured.out
    assert not (tmp_path / "b").exists()
    monkeypatch.undo()
    assert run([*arguments, "--quiet"]) == 0
    assert (tmp_path / "b" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "easy"], "did you mean 'ease'"),
        (["--time-split", "--time-column", "item_id"], "timestamp"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(work, fails, tmp_path, arguments, told) -> None:
    error = fails("autopilot", work / "log.csv", "--out", tmp_path / "o", *arguments)
    assert told in error or "time" in error


def test_a_place_that_is_taken_is_refused_before_the_search(work, fails, tmp_path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine").write_text("")
    error = fails("autopilot", work / "log.csv", "--out", tmp_path / "o")
    assert "is not a nearfar bundle" in error
    assert not (tmp_path / "o.autopilot").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_real_kill_keeps_all_finished_trials(work: Path, tmp_path: Path, number) -> None:
    """Stopped in a training, it goes on: finished trials stay, and the end is a whole bundle."""
    out, file = tmp_path / "b", tmp_path / "b.autopilot" / "trials.json"
    program_code = "from nearfar.cli.main import main; main()"
    command = ["autopilot", str(work / "log.csv"), "--out", str(out), "--only", "ease,multvae",
               "--quiet", "--minutes"]  # fmt: skip
    program = subprocess.Popen(
        [sys.executable, "-c", program_code, *command, "30"], stderr=subprocess.PIPE, text=True
    )
    while program.poll() is None and not _has_trials(file, 3):
        time.sleep(0.02)
    program.send_signal(number)
    _, error = program.communicate()
    assert program.returncode == (130 if number == signal.SIGINT else -number), error
    if number == signal.SIGINT:
        assert "continue with: nearfar autopilot" in error
    before = json.loads(file.read_text())["trials"]
    assert not out.exists()
    # its time is over: what was begun is ended, and the winner is fitted
    assert run([*command, "0.01"]) == 0
    after = json.loads(file.read_text())["trials"]
    assert after[: len(before)] == before
    assert len(after) >= len(before) >= 3
    assert (out / "manifest.json").exists()


def _has_trials(file: Path, n: int) -> bool:
    return file.exists() and len(json.loads(file.read_text())["trials"]) >= n
