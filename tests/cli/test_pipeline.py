"""`nearfar pipeline` from an empty folder to recommendations."""

import json
import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.cli.pipeline_output import _last_run
from nearfar.core.errors import EmptyDataError
from nearfar.jobs.job import locked
from tests.jobs.cases import SETTINGS, write_day, write_days
from tests.train.test_trackers import events_of


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
    day, logs = last - timedelta(days=7), tmp_path / "logs"
    found = as_json("pipeline", "run", "-c", path, "--as-of", day, "--track", f"tensorboard:{logs}")
    tracked = events_of(logs / "pipeline" / f"weekly_{day}")
    assert any(name.startswith("measured/") for name in tracked)
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
    assert re.search(rf"publish: done at \S+, version {found['published']}", told)


def test_a_job_s_line_names_versions_and_reasons() -> None:
    at = {"outcome": "done", "at": "2026-08-03T05:00:00", "as_of": None, "version": None}
    assert _last_run("rollback", {**at, "version": "b", "detail": {"left": "c"}}) == (
        "rollback: done at 2026-08-03T05:00:00, version b in place of c"
    )
    detail = {"training_failed": "disk full", "left_out": {"an impression (no event)": 1200}}
    assert _last_run("score", {**at, "as_of": "2026-08-02", "detail": detail}) == (
        "score: done at 2026-08-03T05:00:00 for 2026-08-02, although its training failed: disk full"
        "; left out: 1,200 rows: an impression"
    )


def test_a_refused_candidate_has_an_exit_code_of_its_own(tmp_path: Path, capsys) -> None:
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path, gates={"min_over_popularity": 99.0})
    assert run(["pipeline", "train", "-c", str(path), "--as-of", str(last)]) == 4
    out = capsys.readouterr().out
    assert "REFUSED" in out
    assert "--force; or train with --accept min_over_popularity" in out


def test_trackers_of_the_settings_are_used_at_every_training(tmp_path: Path, as_json) -> None:
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path, train={**SETTINGS["train"], "track": ["tensorboard:logs"]})
    as_json("pipeline", "train", "-c", path, "--as-of", last)
    tracked = events_of(tmp_path / "logs" / "pipeline" / f"weekly_{last}")
    assert any(name.startswith("measured/") for name in tracked)


def test_a_warning_of_python_is_a_line_without_a_place_in_the_code(tmp_path, capsys) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item,plays\n" + "".join(f"{n % 9},{n % 7},{1 + n % 3}\n" for n in range(63))
    )
    arguments = ["--data", str(tmp_path / "log.csv"), "--weights", "linear", "--folds", "2"]
    assert run(["cross-validate", "popularity", *arguments]) == 0
    told = capsys.readouterr().err
    assert "warning: Popularity does not use the weights of interactions" in told
    assert "UserWarning" not in told


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
    assert "running on this registry" in busy["error"]


def test_a_run_whose_training_failed_tells_of_the_scoring(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path)
    day = last - timedelta(days=7)
    assert run(["pipeline", "run", "-c", str(path), "--as-of", str(day), "--quiet"]) == 0

    def fail(*_: object, **__: object) -> None:
        raise EmptyDataError("too few events")

    monkeypatch.setattr("nearfar.jobs.train_weekly.split_window", fail)
    found = failing_json(capsys, "pipeline", "run", "-c", path, "--as-of", last)
    assert found["trained"] is None
    assert found["scored"]["n_users"] > 0
    assert found["error"] == "too few events"
    assert found["kind"] == "EmptyDataError"
    assert run(["pipeline", "run", "-c", str(path), "--as-of", str(last)]) == 1
    told = capsys.readouterr()
    assert "published already" in told.out
    assert f"{last}: titles, training or publishing FAILED" in told.out
    assert "too few events" in told.err


def test_a_sale_day_is_accepted_once_by_name(tmp_path: Path, as_json, fails, monkeypatch) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 41) + timedelta(days=1)
    write_day(tmp_path / "events", last, per_day=400)
    path = tmp_path / "p.toml"
    write_settings(path)
    told = fails("pipeline", "run", "-c", path, "--as-of", last, "--quiet")
    assert "(max_volume_ratio 3)" in told
    assert "--accept volume" in told
    assert "did you mean 'volume'" in fails(
        "pipeline", "run", "-c", path, "--as-of", last, "--accept", "volum"
    )
    found = as_json("pipeline", "run", "-c", path, "--as-of", last, "--accept", "volume")
    assert found["published"] == found["scored"]["version"]
    assert found["scored"]["as_of"] == str(last)


def test_a_day_to_come_and_its_removal(tmp_path: Path, as_json, fails, monkeypatch) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path)
    as_json("pipeline", "run", "-c", path, "--as-of", last)
    assert "--allow-future" in fails("pipeline", "run", "-c", path, "--as-of", "2999-01-01")
    assert "a date was expected" in fails("pipeline", "remove-day", "tomorrow", "-c", path)
    found = as_json("pipeline", "remove-day", f"{last:%Y%m%d}", "-c", path)
    assert found == {"removed": str(last), "latest": None}
    assert "is not published; none is" in fails("pipeline", "remove-day", last, "-c", path)


def test_a_registry_stands_for_its_current_version(
    tmp_path: Path, as_json, fails, monkeypatch
) -> None:
    monkeypatch.setitem(SETTINGS, "algorithm", {"kind": "ease"})
    last = write_days(tmp_path / "events", 42)
    path = tmp_path / "p.toml"
    write_settings(path)
    (tmp_path / "registry" / "versions").mkdir(parents=True)
    assert "nothing is published yet" in fails("recommend", tmp_path / "registry", "--items", "1")
    version = as_json("pipeline", "run", "-c", path, "--as-of", last)["published"]
    bundle = tmp_path / "registry" / "versions" / version / "bundle"
    expected = as_json("recommend", bundle, "--items", "1,2", "-k", 3)
    found = as_json("recommend", tmp_path / "registry", "--items", "1,2", "-k", 3)
    assert found | {"bundle": None} == expected | {"bundle": None}
