"""`nearfar pipeline` from an empty folder to recommendations."""

import json
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.jobs.lock import locked
from tests.jobs.cases import SETTINGS, write_days


def write_settings(path: Path, **over: dict) -> None:
    """Plain TOML of the small pipeline."""

    def told(value: object) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{k} = {told(v)}" for k, v in value.items()) + " }"
        return json.dumps(value)

    values = {n: ({**t, **over.get(n, {})} if isinstance(t, dict) else t)
              for n, t in SETTINGS.items()}  # fmt: skip
    path.write_text("".join(f"{name} = {told(value)}\n" for name, value in values.items()))
    tomllib.loads(path.read_text())


def test_init_writes_once(tmp_path: Path, capsys, fails) -> None:
    path = tmp_path / "p.toml"
    assert run(["pipeline", "init", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert "exists" in fails("pipeline", "init", path)
    assert "[gates]" in path.read_text()


def test_a_run_a_status_a_rollback(tmp_path: Path, as_json, fails, capsys) -> None:
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path)
    found = as_json("pipeline", "run", "-c", path, "--as-of", last - timedelta(days=7))
    assert found["trained"]["passed"]
    assert found["published"] == found["trained"]["version"] == found["scored"]["version"]
    again = as_json("pipeline", "run", "-c", path, "--as-of", last - timedelta(days=7))
    assert again["trained"] is None
    assert again["scored"]["already"]
    assert as_json("pipeline", "status", "-c", path)["current"] == found["published"]
    assert "no version was published before" in fails("pipeline", "rollback", "-c", path)
    assert "nearfar_users_scored" in (tmp_path / "nearfar.prom").read_text()
    capsys.readouterr()
    assert run(["pipeline", "status", "-c", str(path)]) == 0
    told = capsys.readouterr().out
    assert "current" in told
    assert "score: already done" in told


def test_a_refused_candidate_has_an_exit_code_of_its_own(tmp_path: Path, capsys) -> None:
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path, gates={"min_over_popularity": 99.0})
    assert run(["pipeline", "train", "-c", str(path), "--as-of", str(last)]) == 4
    assert "REFUSED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "-c", "none.toml"], "does not exist"),
        (["score", "--as-of", "tomorrow"], "a date was expected"),
        (["publish", "v9"], "no version 'v9'"),
    ],
)
def test_bad_wishes(tmp_path: Path, fails, monkeypatch, arguments: list[str], told: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_settings(tmp_path / "pipeline.toml")
    assert told in fails("pipeline", *arguments)


def failing_json(capsys, *arguments: object, code: int = 1) -> dict:
    """What a command that must fail says on stdout with --json."""
    capsys.readouterr()
    assert run([*map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "nearfar: " in captured.err
    return json.loads(captured.out)


def test_a_failing_command_tells_json_why(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    missing = failing_json(capsys, "pipeline", "score", "-c", "none.toml")
    assert "does not exist" in missing["error"]
    assert missing["kind"] == "SettingsError"
    write_settings(tmp_path / "pipeline.toml")
    for command in ("rollback", "publish", "score"):
        assert failing_json(capsys, "pipeline", command)["kind"] == "SettingsError"
    assert "a date was" in failing_json(capsys, "pipeline", "train", "--as-of", "x")["error"]
    assert failing_json(capsys, "pipeline", "init")["kind"] == "ArtefactError"
    with locked(tmp_path / "registry", "train"):
        busy = failing_json(capsys, "pipeline", "score")
    assert busy["kind"] == "LockedError"
    assert "at work on this registry" in busy["error"]


def test_a_run_whose_training_failed_tells_of_the_scoring(tmp_path: Path, capsys) -> None:
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path)
    day = last - timedelta(days=7)
    assert run(["pipeline", "run", "-c", str(path), "--as-of", str(day), "--quiet"]) == 0
    write_settings(path, train={"held_out": 0.001})
    found = failing_json(capsys, "pipeline", "run", "-c", path, "--as-of", last)
    assert found["trained"] is None
    assert found["scored"]["n_users"] > 0
    assert "held-out users" in found["error"]
    assert found["kind"] == "EmptyDataError"
    assert run(["pipeline", "run", "-c", str(path), "--as-of", str(last)]) == 1
    told = capsys.readouterr()
    assert "published already" in told.out
    assert "held-out users" in told.err
