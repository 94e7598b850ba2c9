"""Find files in a folder that may be partitioned by date, locally or through fsspec."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.extras import require
from nearfar.core.secrets import Url
from nearfar.tables.report import ReadReport

BARE_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class FileEntry:
    """A file or folder inside a folder.

    Attributes:
        path: path of the entry.
        name: last part of the path.
        is_folder: whether it is a folder.
    """

    path: str
    name: str
    is_folder: bool


@dataclass(frozen=True)
class DatedFile:
    """A file, and the day of its partition.

    Attributes:
        path: path of the file.
        day: day of the partition; None if no folder above the file names a day.
        below: path relative to the source's folder, with "/" between its parts.
    """

    path: str
    day: date | None
    below: str


class FileSystem(ABC):
    """A file system, local or remote."""

    @abstractmethod
    def entry(self, path: str) -> FileEntry | None:
        """Return the file or folder at a path; None if there is none."""

    @abstractmethod
    def entries(self, path: str) -> list[FileEntry]:
        """Return the content of a folder."""

    @abstractmethod
    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for reading bytes."""


class LocalFiles(FileSystem):
    """The file system of this machine."""

    def entry(self, path: str) -> FileEntry | None:
        file = Path(path)
        return FileEntry(path, file.name, file.is_dir()) if file.exists() else None

    def entries(self, path: str) -> list[FileEntry]:
        return [FileEntry(str(p), p.name, p.is_dir()) for p in Path(path).iterdir()]

    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return Path(path).open("rb")


class FsspecFiles(FileSystem):
    """A file system of fsspec, such as s3:// or memory://."""

    def __init__(self, filesystem: Any) -> None:
        self._files = filesystem

    def entry(self, path: str) -> FileEntry | None:
        if not self._files.exists(path):
            return None
        return FileEntry(path, _last_part(path), bool(self._files.isdir(path)))

    def entries(self, path: str) -> list[FileEntry]:
        listed = self._files.ls(path, detail=True)
        return [
            FileEntry(e["name"], _last_part(e["name"]), e["type"] == "directory") for e in listed
        ]

    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return self._files.open(path, "rb")


def is_remote(address: str) -> bool:
    """Return whether an address is one for fsspec instead of a path."""
    return "://" in address


def open_filesystem(address: Url) -> tuple[FileSystem, str]:
    """Open the file system of an address; return it and the path in it.

    Raises:
        MissingExtraError: fsspec is not installed.
        DataError: fsspec does not know this kind of address, or lacks a library for it.
    """
    revealed = address.reveal()
    if not is_remote(revealed):
        return LocalFiles(), str(Path(revealed).expanduser())
    require("fsspec", extra="remote", purpose=f"reading {address}")
    import fsspec

    with address.errors("open", ImportError, ValueError, OSError):
        filesystem, path = fsspec.core.url_to_fs(revealed)
    return FsspecFiles(filesystem), path


def dated_files(
    address: Url,
    endings: re.Pattern[str],
    partition: str,
    since: date,
    until: date,
    report: ReadReport,
) -> tuple[FileSystem, list[DatedFile]]:
    """Return the files at an address, without those of days outside [since, until).

    The folder of a day is named "date=2024-05-01", where "date" is the partition, or "2024-05-01".
    If the partition is empty, names of folders mean nothing and all folders are read. Names that
    begin with "." or "_" are skipped: they are temporary files and notes. Files whose names
    `endings` does not match are skipped too, and listed in the report.

    Args:
        address: file or folder.
        endings: pattern of the file names to read.
        partition: text before the "=" of a folder's name.
        since, until: the window [since, until).
        report: filled with the names of skipped files.

    Raises:
        DataError: nothing exists at the address, or the name of a partition is not a day.
    """
    filesystem, path = open_filesystem(address)
    with address.errors("list it", OSError):
        root = filesystem.entry(path)
        if root is None:
            raise DataError(f"{address} does not exist; give the path of a file or folder")
        if not root.is_folder:
            return filesystem, [DatedFile(path, None, root.name)]
        listing = _Listing(filesystem, endings, partition, since, until, address, report)
        return filesystem, list(listing.files(path, None))


def check_partition(partition: str) -> None:
    """Check the name of a partition; it may be empty.

    Raises:
        SettingsError: the name contains "/" or "=", or begins with "." or "_".
    """
    if "/" in partition or "=" in partition or partition[:1] in (".", "_"):
        raise SettingsError(
            f"partition is {partition!r}; the text before the '=' of a folder's name was expected"
        )


@dataclass(frozen=True)
class _Listing:
    filesystem: FileSystem
    endings: re.Pattern[str]
    partition: str
    since: date
    until: date
    address: Url
    report: ReadReport

    def files(self, folder: str, day: date | None, prefix: str = "") -> Iterator[DatedFile]:
        """Yield the files in a folder and below it.

        Args:
            folder: path of the folder.
            day: day of its partition.
            prefix: its path relative to the source's folder, with "/" at the end.
        """
        for entry in sorted(self.filesystem.entries(folder), key=lambda e: e.name):
            if entry.name.startswith((".", "_")):
                continue
            if not entry.is_folder:
                if self.endings.fullmatch(entry.name):
                    yield DatedFile(entry.path, day, prefix + entry.name)
                else:
                    self.report.skipped_files.append(prefix + entry.name)
                continue
            entry_day = self._day(entry.name, day)
            if entry_day is None or self.since <= entry_day < self.until:
                yield from self.files(entry.path, entry_day, f"{prefix}{entry.name}/")

    def _day(self, name: str, parent_day: date | None) -> date | None:
        """Return the day in a folder's name, else that of its parent folder."""
        prefix = f"{self.partition}="
        has_prefix = bool(self.partition) and name.startswith(prefix)
        if not has_prefix and not (self.partition and BARE_DAY.fullmatch(name)):
            return parent_day
        try:
            return date.fromisoformat(name.removeprefix(prefix))
        except ValueError:
            if not has_prefix:
                return parent_day
            raise DataError(
                f"{self.address}: the folder {name!r} names no day; {prefix}2024-05-01 was expected"
            ) from None


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
