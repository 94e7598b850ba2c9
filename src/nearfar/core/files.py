"""Atomic writes of files and folders, and checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from nearfar.core.errors import ArtefactError

BLOCK_BYTES = 1 << 20


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the checksum of a file's bytes, in hexadecimal."""
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            state.update(block)
    return state.hexdigest()


def check_files(
    folder: Path, files: Mapping[str, Mapping[str, Any]], *, listed_in: str, remedy: str
) -> None:
    """Check files against their recorded sizes and checksums.

    Args:
        folder: folder of the files.
        files: name -> "sha256", and optionally "bytes".
        listed_in: file that lists them, for the message.
        remedy: what to do about a damaged file, for the message.

    Raises:
        ArtefactError: a name leads out of the folder, or a file is missing or damaged.
    """
    for name in files:
        if name in ("", ".", "..") or any(c in name for c in "/\\:\0"):
            raise ArtefactError(
                f"{folder / listed_in} lists {name!r}, which is not a plain file name; do not "
                "trust it"
            )
    for name, expected in files.items():
        file = folder / name
        if not file.is_file():
            raise ArtefactError(f"{file} is missing; {remedy}")
        size, recorded = file.stat().st_size, expected.get("bytes")
        if "bytes" in expected and size != recorded:
            raise ArtefactError(f"{file} is damaged: it has {size} bytes, not {recorded}; {remedy}")
        if digest(file) != expected.get("sha256"):
            raise ArtefactError(f"{file} is damaged: its checksum differs; {remedy}")


def sync_folder(folder: Path) -> None:
    """Make created, renamed and removed entries of a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mode(base: int) -> int:
    """Return permissions without those that the umask removes."""
    mask = os.umask(0)
    os.umask(mask)
    return base & ~mask


def _add_path(error: BaseException, path: Path) -> None:
    """Add the path to an error of writing that names no file, such as a full disk."""
    if isinstance(error, OSError) and error.errno is not None and error.filename is None:
        error.filename = str(path)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Make errors of creating the temporary file, such as missing permission, name `path`."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_file(path: Path, *, text: bool = False) -> Iterator[IO[Any]]:
    """Open a file that replaces `path` atomically at the end: it is synced, then renamed."""
    path = Path(path)
    part = {"dir": path.parent, "prefix": f".{path.name}.", "suffix": ".part"}
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(**part)
    try:
        with os.fdopen(handle, "w" if text else "wb", encoding="utf-8" if text else None) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(_mode(0o666))
        Path(temporary).replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        _add_path(error, path)
        raise


@contextlib.contextmanager
def atomic_folder(path: Path, *, overwrite_if: Callable[[Path], bool]) -> Iterator[Path]:
    """Create a temporary folder that replaces `path` atomically at the end.

    An existing folder is replaced only if it is empty or `overwrite_if(path)` returns True. Then
    there is a moment without a folder at `path`, but never a half-written one.

    Raises:
        ArtefactError: `path` exists and may not be replaced.
    """
    path = Path(path)
    replaceable = not path.exists() or (
        path.is_dir() and (not any(path.iterdir()) or overwrite_if(path))
    )
    if not replaceable:
        raise ArtefactError(f"{path} exists and was not written by nearfar; name another folder")
    part = {"dir": path.parent, "prefix": f".{path.name}.", "suffix": ".part"}
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(**part))
    try:
        temporary.chmod(_mode(0o777))
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                file.chmod(_mode(0o666))
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        sync_folder(temporary)
        if path.exists():
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
            path.replace(old / path.name)
            try:
                temporary.replace(path)
            except BaseException:
                (old / path.name).replace(path)
                raise
            finally:
                shutil.rmtree(old)
        else:
            temporary.replace(path)
        sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        _add_path(error, path)
        raise


def remove(path: Path) -> None:
    """Remove a file durably, even if the power fails next; the file need not exist."""
    path = Path(path)
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_folder(path.parent)


def write_json(path: Path, value: object) -> None:
    """Write a JSON document atomically; raise ValueError for NaN and infinities."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with atomic_file(path, text=True) as file:
        file.write(text)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ArtefactError: the file is missing or is not a JSON object.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtefactError(f"{path} does not exist") from None
    except (ValueError, RecursionError) as error:
        # Also raised for numbers of thousands of digits and thousands of nested brackets.
        raise ArtefactError(f"{path} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ArtefactError(f"{path} does not contain a JSON object")
    return value
