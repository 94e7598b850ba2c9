"""What an operator can cause is told in one line: what, where and what to do."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.core.errors import ArtefactError
from nearfar.core.files import atomic_file, atomic_folder, write_json
from nearfar.jobs.job import recorded
from nearfar.jobs.registry import Registry
from tests.jobs.cases import write_days

CONFIG = """
[source]
kind = "parquet"
path = "events"
[sink]
kind = "parquet"
path = "recommendations"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_days(tmp_path / "events", 2)
    (tmp_path / "pipeline.toml").write_text(CONFIG)
    return tmp_path


def told(shop: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    command, *rest = arguments
    assert run(["pipeline", command, "-c", str(shop / "pipeline.toml"), *rest]) == 1
    text = capsys.readouterr().err.strip()
    assert "unexpected" not in text
    assert "please report" not in text
    return text.splitlines()[-1]


@pytest.mark.parametrize(
    "pointer",
    ["{}", "[]", "", '{"version": 3}', '{"version": "v", "before": [1]}', "[" * 100_000,
     '{"version": ' + "9" * 10_000 + "}"],
)  # fmt: skip
def test_a_damaged_pointer(shop: Path, capsys: pytest.CaptureFixture[str], pointer: str) -> None:
    (shop / "registry").mkdir()
    (shop / "registry" / "current.json").write_text(pointer)
    for command in ("status", "rollback", "score"):
        assert "current.json" in told(shop, capsys, command)


def test_a_damaged_record_is_told_before_the_work(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "registry").mkdir()
    (shop / "registry" / "registry.db").write_bytes(b"no database at all" * 100)
    assert "registry.db: file is not a database" in told(shop, capsys, "score")
    worked = False
    record = recorded(Registry(shop / "registry"), "score")
    with pytest.raises(ArtefactError, match="move it away"), record:
        worked = True
    assert not worked


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "2026-13-01", "nix"])
def test_days_that_cannot_be(shop: Path, capsys: pytest.CaptureFixture[str], day: str) -> None:
    assert "--as-of is" in told(shop, capsys, "score", "--as-of", day)


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_json(tmp_path / "a.json", {})
    assert caught.value.filename == str(tmp_path / "a.json")
    made = atomic_folder(tmp_path / "folder", overwrite_if=lambda _: False)
    with pytest.raises(OSError, match="No space") as caught, made as folder:
        (folder / "x").write_text("x")
    assert caught.value.filename == str(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_files_and_their_folders_are_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content before it gets its name, the name before the writer is told."""
    happened: list[str] = []
    sync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        happened.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")  # noqa: PTH112
        sync(handle)

    def replaced(*paths) -> None:
        happened.append("name")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    with atomic_file(tmp_path / "a") as file:
        file.write(b"x")
    assert happened == ["file", "name", "folder"]
    happened.clear()
    with atomic_folder(tmp_path / "b", overwrite_if=lambda _: False) as folder:
        (folder / "x").write_text("x")
    assert happened == ["file", "folder", "name", "folder"]


def test_the_program_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nearfar", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nearfar ")


def test_ctrl_c_before_the_first_epoch_is_told_and_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nearfar.cli import main
    from nearfar.core.errors import StoppedError

    def stopped(**_: object) -> None:
        raise StoppedError("stopped before the first epoch had ended")

    monkeypatch.setattr(main, "app", stopped)
    assert main.run([]) == 130
    assert "stopped before" in capsys.readouterr().err
