"""deploy/: linted, and every step of it executed outside a container."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import postgres
from tests.packaging.installed import (
    PATIENCE,
    ROOT,
    TOKEN,
    Environment,
    ask,
    listening,
    until,
)

DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNITS = sorted([*DEPLOY.glob("*.service"), *DEPLOY.glob("*.timer")])


def stages() -> dict[str, list[tuple[str, str]]]:
    """The instructions of each stage, by its name, without those of the stage it is made from."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(str.strip, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found[rest.split()[-1]] = []
        if found:
            found[list(found)[-1]].append((word, " ".join(rest.split())))
    return found


def inherited(stage: str) -> list[tuple[str, str]]:
    """The instructions of a stage after those of the stages that it is made from."""
    own = stages()[stage]
    parent = own[0][1].split()[0]
    return [*(inherited(parent) if parent in stages() else []), *own]


def test_the_containerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    done = subprocess.run(
        [hadolint, DEPLOY / "Containerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_images_are_public_names_and_run_as_no_root() -> None:
    images = [service["image"] for service in COMPOSE["services"].values() if "image" in service]
    for stage, instructions in stages().items():
        parent = instructions[0][1].split()[0]
        images += [] if parent in stages() else [parent]
        if stage in ("pipeline", "serve"):
            users = [text for word, text in inherited(stage) if word == "USER"]
            assert users[-1].isdigit()
            assert int(users[-1]) > 0
    assert images
    assert not [image for image in images if "/" in image]  # a host would stand before it


def test_what_is_copied_exists_and_is_sent() -> None:
    """The images are built of these files alone: all else is ignored."""
    sent = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source
        for instructions in stages().values()
        for word, text in instructions
        if word == "COPY" and "--from" not in text
        for source in text.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / source).exists() for source in copied)


def test_compose_names_what_there_is_and_grants_little() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert (
                (DEPLOY / source).exists()
                if source.startswith(".")
                else (source in COMPOSE["volumes"])
            )
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        if name != "db":
            assert service["build"]["target"] in stages()
            assert (ROOT / service["build"]["dockerfile"]).exists()
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]


def test_the_units_are_clean(tmp_path: Path) -> None:
    """systemd reads them; what they start is no file here and is replaced."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    for unit in UNITS:
        text = unit.read_text().replace("/srv/shop/.venv/bin/nearfar", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(tmp_path / unit.name for unit in UNITS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_what_units_and_cron_start_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """Every option of theirs is one of the program's."""
    from nearfar.cli.main import run

    page = (ROOT / "docs" / "deploy.md").read_text()
    lines = re.findall(r"^ExecStart=\S+/nearfar (.*)$", "\n".join(u.read_text() for u in UNITS),
                       re.MULTILINE)  # fmt: skip
    lines += re.findall(r"^[\d*]+ .*nearfar (pipeline [^>\n]*)", page, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        words = shlex.split(line)
        commands = [word for word in words[:2] if word in ("pipeline", "run", "serve", "status")]
        assert run([*commands, "--help"]) == 0
        shown = capsys.readouterr().out
        assert [word for word in words if word.startswith("-") and word not in shown] == []


@pytest.mark.slow
def test_the_images_are_built(tmp_path: Path) -> None:
    """COPY and RUN as they stand, below a folder, without an index and without dependencies.

    Not the step that adds a user, which would be one of this machine.
    """
    ran = []
    for stage in ("wheel", "serve-environment"):
        folder = tmp_path
        for word, text in inherited(stage):
            places = [_below(tmp_path, place) for place in text.split()]
            if word == "WORKDIR":
                folder = Path(places[0])
                folder.mkdir()
            elif word == "COPY" and "--from" not in text:
                for source in text.split()[:-1]:
                    copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
                    copy(ROOT / source, _target(folder / places[-1], source))
            elif word == "RUN":
                subprocess.run(
                    ["sh", "-ec", _below(tmp_path, text)], cwd=folder, check=True,
                    env={**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_QUIET": "1",
                         "PIP_NO_BUILD_ISOLATION": "0", "PATH": _path()},
                )  # fmt: skip
                ran.append(text)
    assert len(ran) == 3
    assert (tmp_path / "opt" / "nearfar" / "bin" / "nearfar").exists()


def _below(root: Path, text: str) -> str:
    return re.sub(r"(?<![\w./])/(?=src|dist|opt|constraints|$)", f"{root}/", text)


def _target(place: Path, source: str) -> Path:
    return place / source if place.is_dir() and (ROOT / source).is_dir() else place


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.slow
def test_compose_trains_scores_and_serves(installed: Environment, tmp_path: Path) -> None:
    """The commands of the scheduler and of the service, on a database of their own."""
    reason = postgres.why_not()
    if reason is not None:
        pytest.skip(reason)
    (tmp_path / "registry").mkdir()
    with postgres.running(fsync="off") as server, contextlib.ExitStack() as stack:
        write_events(server)
        variables = {"POSTGRES_PASSWORD": server.password, "NEARFAR_TOKEN": TOKEN}

        def here(text: str) -> str:
            text = text.replace("@${POSTGRES_HOST}/nearfar", f"@/postgres?host={server.folder}")
            text = text.replace("/etc/nearfar/", f"{tmp_path}/").replace("$${", "${")
            return text.replace("/shop/", f"{tmp_path}/").replace("0.0.0.0", "127.0.0.1")

        config = here((DEPLOY / "pipeline.toml").read_text())
        (tmp_path / "pipeline.toml").write_text(
            config.replace('kind = "multvae"', 'kind = "multvae"\nepochs = 5')
        )
        command = COMPOSE["services"]["service"]["command"]
        words = [here(word.replace("$$", "$")) for word in command]
        url = stack.enter_context(
            listening(
                [str(installed.program), *words, "--port", "0", "--watch-seconds", "0.2",
                 "--deadline", str(PATIENCE)],
                {**installed.variables("serve", "sql"), **variables}, tmp_path,
            )
        )  # fmt: skip
        assert ask(f"{url}/healthz")["status"] == "alive"
        (loop,) = COMPOSE["services"]["scheduler"]["command"]
        done = subprocess.run(
            [*COMPOSE["services"]["scheduler"]["entrypoint"],
             here(loop).replace("sleep 3600", "break")],
            env={**installed.variables("torch", "onnx", "sql"), **variables}, cwd=tmp_path,
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert "is current" in done.stdout, done.stderr
        until(lambda: ask(f"{url}/readyz").get("ready"))
        stored = ask(f"{url}/v1/users/u3/recommendations?k=3")
        session = ask(f"{url}/v1/recommend", {"items": ["i1", "i5"], "k": 3})
    for answer, source in ((stored, "stored"), (session, "history")):
        assert answer.get("source") == source, answer
        assert len(answer["recommendations"]) == 3


def write_events(server: postgres.Server) -> None:
    """Two tastes of twelve items, four weeks up to yesterday, in the table of events.sql."""
    import psycopg

    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = [
        (f"u{user}", f"i{(user * 7 + step * step) % 12 + 12 * (user % 2)}",
         midnight - timedelta(days=(user + 3 * step) % 28, seconds=user + 1))
        for user in range(240) for step in range(9)
    ]  # fmt: skip
    with psycopg.connect(server.plain_url) as connection:
        connection.execute((DEPLOY / "events.sql").read_bytes())
        connection.cursor().executemany("INSERT INTO events VALUES (%s, %s, %s)", rows)
