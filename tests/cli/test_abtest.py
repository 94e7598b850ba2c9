"""`nearfar abtest` from made-up logs to a finding, and every command of its guide."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from nearfar.cli.main import run

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guide" / "abtest.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("abtest")
    arguments = ["--users", "1500", "--uplift", "0.6", "--seed", "3", "--quiet"]
    assert run(["abtest", "simulate", "--out", str(folder), *arguments]) == 0
    return folder


def logs_of(folder: Path) -> list[str]:
    return [
        "--exposures", str(folder / "exposures.parquet"),
        "--clicks", str(folder / "clicks.parquet"),
    ]  # fmt: skip


def whole(folder: Path) -> list[str]:
    return ["--experiment", str(folder / "experiment.toml"), *logs_of(folder)]


@pytest.mark.parametrize("command", ["plan", "check", "analyse", "simulate"])
def test_help_teaches_and_lists_the_common_options(command: str, capsys) -> None:
    assert run(["abtest", command, "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--json", "--quiet", "--debug"):
        assert option in told
    assert len(told.splitlines()) > 8


def test_plan(folder: Path, as_json, capsys) -> None:
    found = as_json("abtest", "plan", *logs_of(folder), "--uplift", "0.3", "--days", "7,10,14")
    assert found["metrics"][0]["metric"] == "clicks_per_view"
    assert [h["days"] for h in found["metrics"][0]["horizons"]] == [7, 10, 14]
    assert "10 days are not whole weeks" in found["warnings"][0]
    assert run(["abtest", "plan", *logs_of(folder), "--users", "100000"]) == 0
    assert "users met" in capsys.readouterr().out


def test_a_sound_test_passes(folder: Path, as_json, capsys) -> None:
    found = as_json("abtest", "check", *whole(folder), "--splits", "50")
    assert found["passed"]
    assert [c["name"] for c in found["checks"]] == [
        "sample_ratio", "one_arm_a_user", "assignment", "own_recommendations",
        "clicks_after_exposures", "a_a",
    ]  # fmt: skip
    assert run(["abtest", "check", *whole(folder), "--splits", "0"]) == 0
    assert capsys.readouterr().out.startswith("good  users of the arms: control")


def test_a_broken_test_exits_with_1(folder: Path, tmp_path: Path, capsys) -> None:
    """stdout still tells all, as JSON too."""
    seen = pl.read_parquet(folder / "exposures.parquet")
    broken = seen.filter((pl.col("arm") != "control").fill_null(True) | (pl.col("user") % 3 != 0))
    broken.write_parquet(tmp_path / "exposures.parquet")
    arguments = [
        "--experiment", str(folder / "experiment.toml"),
        "--exposures", str(tmp_path / "exposures.parquet"),
        "--clicks", str(folder / "clicks.parquet"), "--splits", "0",
    ]  # fmt: skip
    assert run(["abtest", "check", *arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert not found["passed"]
    failed = {c["name"] for c in found["checks"] if c["passed"] is False}
    assert failed == {"sample_ratio", "clicks_after_exposures"}
    assert run(["abtest", "check", *arguments]) == 1
    assert "BAD   users of the arms" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("log", "rows", "reason"),
    [
        ("clicks", pl.lit(False), "there are no clicks to compute"),
        ("exposures", pl.col("user") < 30, "an A/A test needs 40 or more"),
    ],
)
def test_checks_stand_where_no_a_a_test_can_be_made(
    log: str, rows: pl.Expr, reason: str, folder: Path, tmp_path: Path, capsys
) -> None:
    paths = {name: folder / f"{name}.parquet" for name in ("exposures", "clicks")}
    few = pl.read_parquet(paths[log]).filter(rows)
    few.write_parquet(tmp_path / "few.parquet")
    paths[log] = tmp_path / "few.parquet"
    arguments = [
        "abtest", "check", "--experiment", str(folder / "experiment.toml"),
        "--exposures", str(paths["exposures"]), "--clicks", str(paths["clicks"]),
        "--max-orphan-share", "0.999",
    ]  # fmt: skip
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"]
    assert len(found["checks"]) == 6
    assert found["checks"][0]["passed"]
    assert found["checks"][-1]["name"] == "a_a"
    assert found["checks"][-1]["passed"] is None
    assert run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("good  users of the arms")
    assert lines[-1].startswith("-     not checked: ")
    assert reason in lines[-1]


def test_analyse(folder: Path, as_json, capsys) -> None:
    arguments = ["abtest", "analyse", *whole(folder), "--resamples", "100"]
    found = as_json(*arguments)
    assert len(found["rows"]) == 12
    assert found["warnings"] == []
    assert found["rows"][0]["relative_low"] < 0.6 < found["rows"][0]["relative_high"]
    assert as_json(*arguments) == found
    one = as_json(*arguments, "--metrics", "clicks_per_user", "--no-by-card", "--no-cuped")
    assert [r["metric"] for r in one["rows"]] == ["clicks_per_user"]
    assert not one["rows"][0]["cuped"]
    assert run([*arguments, "--daily", "0.1"]) == 0
    told = capsys.readouterr()
    assert "always valid interval" in told.out
    assert "more than the control." in told.out
    assert "card home ..." in told.err


def test_an_unfinished_and_broken_test_is_warned_of(
    folder: Path, as_json, tmp_path: Path, capsys
) -> None:
    toml = (folder / "experiment.toml").read_text()
    longer = toml.replace("end = 2025-09-14", "end = 2025-10-14").replace('""', '"other"')
    (tmp_path / "experiment.toml").write_text(longer)
    arguments = [
        "abtest", "analyse", "--experiment", str(tmp_path / "experiment.toml"), *logs_of(folder),
        "--resamples", "0", "--no-by-card",
    ]  # fmt: skip
    early, wrong = as_json(*arguments)["warnings"]
    assert early == "data end on 2025-09-14, day 14 of 44: an early look"
    assert "in another arm than their id says" in wrong
    assert run(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [f"warning: {early}", f"warning: {wrong}"]
    assert any("2025-09-01 to 2025-09-14, 14 days" in line for line in lines)


def test_from_a_database(folder: Path, as_json, tmp_path: Path, monkeypatch) -> None:
    import sqlalchemy

    url = f"sqlite:///{tmp_path / 'logs.db'}"
    engine = sqlalchemy.create_engine(url)
    for name in ("exposures", "clicks"):
        frame = pl.read_parquet(folder / f"{name}.parquet").rename({"user": "who"})
        text = frame.with_columns(pl.col("timestamp").dt.to_string("%Y-%m-%d %H:%M:%S"))
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text(f"CREATE TABLE {name} ({', '.join(text.columns)})"))
            places = ", ".join(f":{c}" for c in text.columns)
            statement = sqlalchemy.text(f"INSERT INTO {name} VALUES ({places})")
            connection.execute(statement, text.to_dicts())
    engine.dispose()
    monkeypatch.setenv("LOGS_URL", url)
    common = ["--experiment", folder / "experiment.toml", "--resamples", "0"]
    from_files = as_json("abtest", "analyse", *logs_of(folder), *common)
    from_tables = as_json(
        "abtest", "analyse", "--database", "${LOGS_URL}", "--exposures", "exposures", "--clicks",
        "SELECT who, timestamp, card, play_seconds FROM clicks", "--column", "user=who", *common,
    )  # fmt: skip
    assert from_tables == from_files


def test_what_is_wrong_is_told(folder: Path, fails, monkeypatch) -> None:
    rest = [*logs_of(folder)]
    assert "does not exist" in fails("abtest", "check", "--experiment", "none.toml", *rest)
    assert "unknown metric" in fails("abtest", "plan", *rest, "--metrics", "revenue")
    assert "uplift is -1.0" in fails("abtest", "plan", *rest, "--uplift", "-1")
    assert "a day such as" in fails("abtest", "simulate", "--out", folder, "--start", "soon")
    csv = folder / "seen.csv"
    csv.write_text("user,timestamp,arm\n")
    given = ["--exposures", csv, *rest[2:]]
    told = fails("abtest", "check", "--experiment", folder / "experiment.toml", *given, "-q")
    assert "there are no exposures" in told
    assert "exists; name another folder" in fails("abtest", "simulate", "--out", folder)
    fails("abtest", "plan", code=2)
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    assert "pip install 'nearfar[abtest]'" in fails("abtest", "plan", *rest)


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("nearfar ")]


@pytest.mark.slow
def test_every_command_of_the_guide_runs_and_tells_what_stands_there(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(commands()) >= 6
    told = ""
    for line in commands():
        code = run(shlex.split(line, comments=True)[1:])
        found = capsys.readouterr()
        assert code == 0, (line, found.err)
        told += found.out
    blocks = re.findall(r"```text\n(.*?)```", GUIDE, re.DOTALL)
    outputs = [block for block in blocks if not block.startswith("nearfar ")]
    assert len(outputs) >= 5
    for block in outputs:
        assert block in told


def test_every_option_of_the_guide_exists(capsys) -> None:
    told = ""
    for command in ("plan", "check", "analyse", "simulate"):
        run(["abtest", command, "--help"])
        told += capsys.readouterr().out
    for option in set(re.findall(r"`(--[a-z-]+)", GUIDE)):
        assert option in told, option


def test_the_python_of_the_guide_runs(tmp_path: Path, monkeypatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    run(["abtest", "simulate", "--out", "made-up", "--users", "300", "--quiet"])
    namespace: dict[str, object] = {}
    exec(compile(code, "guide", "exec"), namespace)
    assert namespace["arm"] in ("control", "treatment")


def test_the_numbers_of_the_guide_are_the_recorded_ones() -> None:
    recorded = json.loads((ROOT / "benchmarks" / "abtest_coverage.json").read_text())
    none, some = (recorded["found"][f"uplift {uplift}"] for uplift in ("0", "0.2"))
    looks = recorded["looked_at"]["found"]
    rows = {}
    for name, kinds in some.items():
        held = ("delta relative", "delta bootstrap relative", "cuped relative",
                "cuped bootstrap relative")  # fmt: skip
        found = [none[name]["delta p < .05"], none[name]["cuped p < .05"]]
        rows[f"`{name}`"] = [*(kinds[kind] for kind in held), *found]
    for name in looks["uplift 0"]:
        rows[name] = [looks["uplift 0"][name], looks["uplift 0.2"][name]]
    for name, shares in rows.items():
        assert f"| {name} | {' | '.join(f'{100 * s:.1f} %' for s in shares)} |" in GUIDE
