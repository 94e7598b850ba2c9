"""Files are whole or absent."""

import json
import os
from pathlib import Path

import pytest

from nearfar.core import files
from nearfar.core.errors import ArtefactError


def leftovers(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail() -> None:
        with files.atomic_file(path, text=True) as file:
            file.write("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert leftovers(tmp_path) == ["file.txt"]


def test_a_file_appears_whole(tmp_path) -> None:
    path = tmp_path / "deep" / "file.bin"
    with files.atomic_file(path) as file:
        file.write(b"abc")
        assert not path.exists()
    assert path.read_bytes() == b"abc"
    assert leftovers(path.parent) == ["file.bin"]


def test_a_failed_folder_leaves_the_old_folder(tmp_path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "old").write_text("old")

    def fail() -> None:
        with files.atomic_folder(folder, overwrite_if=lambda _: True) as new:
            (new / "half").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert leftovers(folder) == ["old"]
    assert leftovers(tmp_path) == ["out"]


def test_a_folder_replaces_ours_and_only_ours(tmp_path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with files.atomic_folder(folder, overwrite_if=lambda _: False) as new:
        (new / "first").write_text("1")
    with (
        pytest.raises(ArtefactError, match="was not written by nearfar"),
        files.atomic_folder(folder, overwrite_if=lambda _: False),
    ):
        pass
    with files.atomic_folder(folder, overwrite_if=lambda p: (p / "first").exists()) as new:
        (new / "second").write_text("2")
    assert leftovers(folder) == ["second"]
    assert leftovers(tmp_path) == ["out"]


def test_json_is_written_whole_and_refuses_nan(tmp_path) -> None:
    path = tmp_path / "x.json"
    files.write_json(path, {"a": [1, "é"]})
    assert json.loads(path.read_text()) == {"a": [1, "é"]}
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(path, {"a": float("nan")})
    assert files.read_json(path) == {"a": [1, "é"]}


@pytest.mark.parametrize("text", ["{", "[1]", "\x00"])
def test_what_is_no_json_object_is_refused(tmp_path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ArtefactError, match=r"x\.json"):
        files.read_json(path)
    with pytest.raises(ArtefactError, match="does not exist"):
        files.read_json(tmp_path / "absent.json")


def test_digest_is_sha256(tmp_path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc")
    assert files.digest(path).startswith("ba7816bf")
    assert files.digest(path, "md5") == "900150983cd24fb0d6963f7d28e17f72"


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch) -> None:
    done, fsync, replace = [], os.fsync, os.replace

    def syncing(handle: int) -> None:
        done.append(("sync", os.fstat(handle).st_ino))
        fsync(handle)

    def replacing(source, target) -> None:
        done.append(("replace", Path(source).stat().st_ino))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing)
    with files.atomic_file(tmp_path / "file.bin") as file:
        file.write(b"abc")
    own, folder = (tmp_path / "file.bin").stat().st_ino, tmp_path.stat().st_ino
    assert done == [("sync", own), ("replace", own), ("sync", folder)]


@pytest.mark.parametrize("made", ["mkstemp", "mkdtemp"])
def test_a_place_without_permission_is_named_and_not_the_temporary_file(
    made: str, tmp_path: Path, monkeypatch
) -> None:
    def refuse(**named: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / ".x.part"))

    monkeypatch.setattr(f"nearfar.core.files.tempfile.{made}", refuse)
    path = tmp_path / "x"
    if made == "mkstemp":
        writing = files.atomic_file(path)
    else:
        writing = files.atomic_folder(path, overwrite_if=bool)
    with pytest.raises(PermissionError) as raised, writing:
        pass
    assert raised.value.filename == str(path)
