"""Files in a folder that may be partitioned by date: here, or at any address that fsspec knows."""

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
        path: where it is.
        name: the last part of that.
        is_folder: whether it is a folder.
    """

    path: str
    name: str
    is_folder: bool


@dataclass(frozen=True)
class DatedFile:
    """A file, and the day of the partition that it lies in.

    Attributes:
        path: where it is.
        day: None where no folder above it names a day.
        below: its path below the folder that was given, with "/" between its parts.
    """

    path: str
    day: date | None
    below: str


class FileSystem(ABC):
    """A file system, here or elsewhere."""

    @abstractmethod
    def entry(self, path: str) -> FileEntry | None:
        """What is at a path; None where there is nothing."""

    @abstractmethod
    def entries(self, path: str) -> list[FileEntry]:
        """What lies in a folder."""

    @abstractmethod
    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file's bytes."""


class LocalFiles(FileSystem):
    """The file system of this machine."""

    def entry(self, path: str) -> FileEntry | None:
        at = Path(path)
        return FileEntry(path, at.name, at.is_dir()) if at.exists() else None

    def entries(self, path: str) -> list[FileEntry]:
        return [FileEntry(str(p), p.name, p.is_dir()) for p in Path(path).iterdir()]

    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return Path(path).open("rb")


class FsspecFiles(FileSystem):
    """A file system of fsspec, as s3:// or memory://."""

    def __init__(self, filesystem: Any) -> None:
        self._files = filesystem

    def entry(self, path: str) -> FileEntry | None:
        if not self._files.exists(path):
            return None
        return FileEntry(path, _last(path), bool(self._files.isdir(path)))

    def entries(self, path: str) -> list[FileEntry]:
        listed = self._files.ls(path, detail=True)
        return [FileEntry(e["name"], _last(e["name"]), e["type"] == "directory") for e in listed]

    def open(self, path: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        return self._files.open(path, "rb")


def is_remote(address: str) -> bool:
    """Whether an address is one for fsspec rather than a path."""
    return "://" in address


def open_filesystem(address: Url) -> tuple[FileSystem, str]:
    """Open the file system of an address; return it and the path there.

    Raises:
        MissingExtraError: fsspec, or what it needs for this kind of address, is missing.
        DataError: fsspec does not know this kind of address.
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
    """The files at an address by name; folders of days outside [since, until) are not looked into.

    A folder of a day is called "date=2024-05-01", where "date" is the partition, or "2024-05-01".
    Where the partition is empty, names of folders mean nothing and all are looked into. Names that
    begin with "." or "_" are left out, as temporary files and notes are called so. Files whose
    names `endings` does not match are left out too, and named in the report.

    Raises:
        DataError: nothing is at the address, or a partition is of no day.
    """
    filesystem, path = open_filesystem(address)
    with address.errors("list it", OSError):
        root = filesystem.entry(path)
        if root is None:
            raise DataError(f"{address} does not exist; give the path of a file or folder")
        if not root.is_folder:
            return filesystem, [DatedFile(path, None, root.name)]
        walk = _Listing(filesystem, endings, partition, since, until, address, report)
        return filesystem, list(walk.below(path, None))


def check_partition(partition: str) -> None:
    """Check the name of a partition; it may be empty.

    Raises:
        SettingsError: it holds "/" or "=", or begins with "." or "_".
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

    def below(self, folder: str, day: date | None, above: str = "") -> Iterator[DatedFile]:
        for entry in sorted(self.filesystem.entries(folder), key=lambda e: e.name):
            if entry.name.startswith((".", "_")):
                continue
            if not entry.is_folder:
                if self.endings.fullmatch(entry.name):
                    yield DatedFile(entry.path, day, above + entry.name)
                else:
                    self.report.skipped_files.append(above + entry.name)
                continue
            own = self._day(entry.name, day)
            if own is None or self.since <= own < self.until:
                yield from self.below(entry.path, own, f"{above}{entry.name}/")

    def _day(self, name: str, above: date | None) -> date | None:
        """The day that a folder's name tells, else that of the folder above it."""
        prefix = f"{self.partition}="
        named = bool(self.partition) and name.startswith(prefix)
        if not named and not (self.partition and BARE_DAY.fullmatch(name)):
            return above
        try:
            return date.fromisoformat(name.removeprefix(prefix))
        except ValueError:
            if not named:
                return above
            raise DataError(
                f"{self.address}: the folder {name!r} is of no day; {prefix}2024-05-01 was expected"
            ) from None


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
