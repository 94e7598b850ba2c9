"""The folders of a day of recommendations, and the link that readers follow."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from nearfar.core.errors import ArtefactError
from nearfar.core.files import sync_folder
from nearfar.store.sinks.sink import MAX_VERSION

PREFIX = "date="


@dataclass(frozen=True)
class DayFolders:
    """The folders of a day, numbered in the order of their making."""

    root: Path
    day: date

    @property
    def folder(self) -> Path:
        return self.root / ".days" / self.day.isoformat()

    @property
    def link(self) -> Path:
        return self.root / f"{PREFIX}{self.day}"

    def published(self) -> Path | None:
        """The folder that readers are led to."""
        try:
            return self.root / self.link.readlink()
        except FileNotFoundError:
            return None
        except OSError:
            raise ArtefactError(
                f"{self.link} exists and was not written by nearfar; name another folder"
            ) from None

    def is_of(self, version: str) -> bool:
        """Return whether readers are led to a folder of this version."""
        folder = self.published()
        return folder is not None and folder.name.partition("-")[2] == _slug(version)

    def settle(self) -> None:
        """End what an earlier run could not: note what it published, remove what it dropped."""
        folder = self.published()
        if folder is not None:
            _mark(folder).touch()
        for left in (*self.folder.glob("dropped.*"), _dropped(self.folder)):
            shutil.rmtree(left, ignore_errors=True)

    def _folders(self) -> list[Path]:
        found = (p for p in self.folder.glob("[0-9]*") if p.is_dir())
        return sorted(found, key=lambda p: int(p.name.partition("-")[0]))

    def _unpublished(self) -> list[Path]:
        return [p for p in self._folders() if not _mark(p).exists()]

    def unpublished(self, version: str) -> Path | None:
        """The folder that an earlier run left behind."""
        found = [p for p in self._unpublished() if p.name.partition("-")[2] == _slug(version)]
        return found[-1] if found else None

    def drop_unpublished(self, but: Path | None) -> None:
        """Remove what earlier runs left behind."""
        for folder in self._unpublished():
            if folder != but:
                _drop(folder)

    def next(self, version: str) -> Path:
        """A new folder."""
        folders = self._folders()
        number = int(folders[-1].name.partition("-")[0]) + 1 if folders else 1
        folder = self.folder / f"{number:05d}-{_slug(version)}"
        folder.mkdir(parents=True)
        return folder

    def publish(self, folder: Path) -> None:
        """Lead readers to a folder, and remove those older than the one it replaces."""
        before = self.published()
        for unfinished in folder.glob(".*"):
            unfinished.unlink()
        for changed in (folder, self.folder, self.folder.parent):
            sync_folder(changed)
        made = self.root / f".{self.link.name}.part"
        made.unlink(missing_ok=True)
        made.symlink_to(folder.relative_to(self.root))
        made.replace(self.link)
        sync_folder(self.root)
        self.settle()
        for old in self._folders():
            if old not in (folder, before):
                _drop(old)
                _mark(old).unlink(missing_ok=True)

    def delete(self) -> None:
        """Remove the link, then all folders."""
        self.settle()
        if self.link.is_symlink():
            self.link.unlink()
            sync_folder(self.root)  # else a power cut brings back a link to folders that are gone
        if self.folder.exists():
            _drop(self.folder)


def _slug(version: str) -> str:
    """A version as a name that every file system takes."""
    quoted = quote(version, safe="")
    if len(quoted) <= MAX_VERSION:
        return quoted
    return f"{quoted[:MAX_VERSION]}-{hashlib.sha256(version.encode()).hexdigest()[:16]}"


def _mark(folder: Path) -> Path:
    """The file that says that a folder was published."""
    return folder.with_name(f"published.{folder.name}")


def _dropped(folder: Path) -> Path:
    return folder.with_name(f"dropped.{folder.name}")


def _drop(folder: Path) -> None:
    """Remove a folder so that what is left of it after a crash is not taken for whole."""
    gone = _dropped(folder)
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone)
