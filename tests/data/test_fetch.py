"""Fetching: whole and checked, or not at all, with a way out told."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nearfar.core.errors import DataError, FetchError, UnknownNameError
from nearfar.data import fetch as module
from nearfar.data.fetch import cache_folder, data_sets, fetch
from nearfar.data.log import read_log
from nearfar.data.sources import ml_1m, ml_100k
from nearfar.data.sources.source import Download
from tests.data import layouts


@pytest.fixture
def archive(tmp_path) -> Path:
    return layouts.zipped("ml-1m", tmp_path / "origin.zip")


def published(monkeypatch, url: str, **more) -> None:
    download = Download(url, "ml-1m.zip", **more)
    monkeypatch.setattr(ml_1m.MovieLens1M, "downloads", (download,))
    monkeypatch.setattr(ml_1m.MovieLens1M, "packaged", None)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_a_download_is_kept_once_and_read_by_name(archive, tmp_path, monkeypatch):
    published(monkeypatch, archive.as_uri(), md5=md5(archive))
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="fetch it with: nearfar data fetch ml-1m"):
        read_log("ml-1m")
    seen: list[tuple[int, int | None]] = []
    path = fetch("ml-1m", progress=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "cache" / "ml-1m" / "ml-1m.zip"
    assert seen == [(archive.stat().st_size, archive.stat().st_size)]
    archive.unlink()
    assert fetch("ML_1M") == path
    assert read_log("ml-1m").n_events == len(layouts.ROWS)


@pytest.mark.parametrize(
    ("more", "message"),
    [({"md5": "0" * 32}, "md5 .* instead of 000"), ({"max_bytes": 10}, "longer than the 0 MiB")],
)
def test_nothing_wrong_is_kept(more, message, archive, tmp_path, monkeypatch):
    published(monkeypatch, archive.as_uri(), **more)
    with pytest.raises(FetchError, match=message):
        fetch("ml-1m", tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.*"))


def test_an_address_that_does_not_answer(tmp_path, monkeypatch):
    published(monkeypatch, "http://127.0.0.1:9/ml-1m.zip")
    with pytest.raises(FetchError, match=r"cannot be reached.*put it into .*cache/ml-1m"):
        fetch("ml-1m", tmp_path / "cache")


def test_a_set_without_address_tells_what_to_do(tmp_path):
    with pytest.raises(FetchError, match=r"get combined_data_1.*into .*netflix"):
        fetch("netflix", tmp_path)
    layouts.folder("netflix", tmp_path / "netflix")
    assert fetch("netflix", tmp_path) == tmp_path / "netflix"


def test_names():
    assert {"ml-100k", "ml-1m", "ml-10m", "ml-20m", "netflix", "msd", "gowalla"} <= set(data_sets())
    assert "table" not in data_sets()
    with pytest.raises(UnknownNameError, match="did you mean 'ml-20m'"):
        fetch("ml-20n")


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.delenv("NEARFAR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path.home() / ".cache" / "nearfar"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nearfar"
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    assert cache_folder(tmp_path) == tmp_path


class TestPackaged:
    @pytest.fixture
    def wheel(self, monkeypatch) -> list[list[str]]:
        """pip replaced by one that leaves a small wheel; returns the commands it got."""
        source = ml_100k.MovieLens100K
        content = {
            "ml-100k.inter": b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
            b"1\t2\t3\t4\n",
            "ml-100k.item": b"item_id:token\tmovie_title:token_seq\n2\tTwo\n",
        }
        packaged = source.packaged
        assert packaged is not None
        sums = {n: f"sha256:{hashlib.sha256(c).hexdigest()}" for n, c in content.items()}
        monkeypatch.setattr(source, "packaged", replace(packaged, checksums=sums))
        monkeypatch.setattr(
            source, "downloads", (Download("http://127.0.0.1:9/x.zip", "ml-100k.zip"),)
        )
        commands: list[list[str]] = []

        def pip(command: list[str], **_) -> subprocess.CompletedProcess[str]:
            commands.append(command)
            folder = Path(command[command.index("-d") + 1])
            with zipfile.ZipFile(folder / "recbole.whl", "w") as archive:
                for name, member in packaged.members.items():
                    archive.writestr(member, content[name])
            return subprocess.CompletedProcess(command, 0, "", "")

        monkeypatch.setattr(module.subprocess, "run", pip)
        return commands

    def test_stands_in_for_an_address_that_does_not_answer(self, wheel, tmp_path):
        path = fetch("ml-100k", tmp_path)
        assert path == tmp_path / "ml-100k"
        log = read_log(path)
        assert log.frame.rows() == [(1, 2, 3.0, 4)]
        assert log.item_ids.titles is not None
        assert "--no-deps" in wheel[0]

    def test_is_held_to_its_checksums(self, wheel, tmp_path, monkeypatch):
        packaged = ml_100k.MovieLens100K.packaged
        assert packaged is not None
        sums = {**packaged.checksums, "ml-100k.inter": "sha256:00"}
        monkeypatch.setattr(ml_100k.MovieLens100K, "packaged", replace(packaged, checksums=sums))
        with pytest.raises(FetchError, match=r"ml-100k\.inter .* not 00; download"):
            fetch("ml-100k", tmp_path)
        assert not list(tmp_path.rglob("*.inter"))

    def test_tells_why_pip_failed(self, wheel, tmp_path, monkeypatch):
        failed = subprocess.CompletedProcess([], 1, "", "noise\nERROR: no such version\n")
        monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: failed)
        with pytest.raises(FetchError, match=r"cannot be reached.*failed \(no such version\)"):
            fetch("ml-100k", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("NEARFAR_TEST_FETCH" not in os.environ, reason="NEARFAR_TEST_FETCH is not set")
def test_movielens_100k_can_be_had(tmp_path):
    log = read_log(fetch("ml-100k", tmp_path))
    assert (log.n_users, log.n_items, log.n_events) == (943, 1682, 100000)
    assert log.item_ids.titles is not None
    assert log.item_ids.titles.null_count() == 0
