"""Find files in a folder that may be partitioned by date, locally or through fsspec."""

from __future__ import annotations

import contextlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote

from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.extras import require
from nearfar.core.secrets import Url
from nearfar.tables.partitions import MISSING
from nearfar.tables.report import ReadReport

BARE_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
DAY_AND_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}|\d{8})(?:[ T_-]\d{2}(?:[:.-]?\d{2}.*)?)?")
"""A day, or a time in it, as pandas and Spark name the folder of a timestamp."""


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

    @property
    def name(self) -> str:
        """Name of the file, without folders."""
        return _last_part(self.below)


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
    A time in the name belongs to its day ("date=2024-05-01 00:00:00"). A folder of missing values
    (`__HIVE_DEFAULT_PARTITION__`) may hold events of any day. If the partition is empty, names of
    folders mean nothing and all folders are read. Names that begin with "." or "_" are skipped:
    they are temporary files and notes. Files whose names `endings` does not match are skipped too,
    and listed in the report.

    Args:
        address: file or folder.
        endings: pattern of the file names to read.
        partition: text before the "=" of a folder's name.
        since, until: the window [since, until).
        report: filled with the names of skipped files.

    Raises:
        DataError: nothing exists at the address, the name of a partition is not a day, or no file
            has a name that `endings` matches.
    """
    filesystem, path = open_filesystem(address)
    with address.errors("list it", OSError):
        root = filesystem.entry(path)
        if root is None:
            raise DataError(f"{address} does not exist; give the path of a file or folder")
        if not root.is_folder:
            return filesystem, [DatedFile(path, None, root.name)]
        listing = _Listing(filesystem, endings, partition, since, until, address, report)
        files = list(listing.files(path, None))
    if not files and not listing.days_outside:
        n, skipped = len(report.skipped_files), ", ".join(report.skipped_files[:3])
        others = f", only {skipped}" + (f" and {n - 3} more" if n > 3 else "") if n else ""
        raise EmptyDataError(f"{address} has no file that this kind of source reads{others}")
    return filesystem, files


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
    days_outside: list[date] = field(default_factory=list)

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
            else:
                self.days_outside.append(entry_day)

    def _day(self, name: str, parent_day: date | None) -> date | None:
        """Return the day in a folder's name, else that of its parent folder."""
        prefix = f"{self.partition}="
        has_prefix = bool(self.partition) and name.startswith(prefix)
        if not has_prefix and not (self.partition and BARE_DAY.fullmatch(name)):
            return parent_day
        value = unquote(name.removeprefix(prefix))
        if has_prefix and value == MISSING:
            return parent_day
        try:
            match = DAY_AND_TIME.fullmatch(value)
            return date.fromisoformat(match[1] if match else value)
        except ValueError:
            if not has_prefix:
                return parent_day
            raise DataError(
                f"{self.address}: the folder {name!r} names no day; {prefix}2024-05-01 was "
                'expected; rename it, or set partition = "" to read all folders by their times'
            ) from None


def _last_part(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
