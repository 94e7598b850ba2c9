"""The folders of a day of recommendations, and the link through which readers find one."""

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
    """The folders of a day, numbered in the order of creation."""

    root: Path
    day: date

    @property
    def folder(self) -> Path:
        return self.root / ".days" / self.day.isoformat()

    @property
    def link(self) -> Path:
        return self.root / f"{PREFIX}{self.day}"

    def published(self) -> Path | None:
        """Return the published folder, or None."""
        try:
            return self.root / self.link.readlink()
        except FileNotFoundError:
            return None
        except OSError:
            raise ArtefactError(
                f"{self.link} exists and was not written by nearfar; name another folder"
            ) from None

    def has_version(self, version: str) -> bool:
        """Return whether the published folder is of this version."""
        folder = self.published()
        return folder is not None and folder.name.partition("-")[2] == _slug(version)

    def finish_interrupted(self) -> None:
        """Finish what an interrupted run began: mark its published folder, remove dropped ones."""
        folder = self.published()
        if folder is not None:
            _mark(folder).touch()
        for leftover in (*self.folder.glob("dropped.*"), _dropped(self.folder)):
            shutil.rmtree(leftover, ignore_errors=True)

    def _folders(self) -> list[Path]:
        folders = (p for p in self.folder.glob("[0-9]*") if p.is_dir())
        return sorted(folders, key=lambda p: int(p.name.partition("-")[0]))

    def _unpublished(self) -> list[Path]:
        return [p for p in self._folders() if not _mark(p).exists()]

    def unpublished(self, version: str) -> Path | None:
        """Return the newest unpublished folder of a version, left by an earlier run, or None."""
        slug = _slug(version)
        folders = [p for p in self._unpublished() if p.name.partition("-")[2] == slug]
        return folders[-1] if folders else None

    def drop_unpublished(self, but: Path | None) -> None:
        """Remove the unpublished folders of earlier runs, except one."""
        for folder in self._unpublished():
            if folder != but:
                _drop(folder)

    def next(self, version: str) -> Path:
        """Create the next folder."""
        folders = self._folders()
        number = int(folders[-1].name.partition("-")[0]) + 1 if folders else 1
        folder = self.folder / f"{number:05d}-{_slug(version)}"
        folder.mkdir(parents=True)
        return folder

    def publish(self, folder: Path) -> None:
        """Point the link to a folder, and remove those older than the one it replaces."""
        previous = self.published()
        for unfinished in folder.glob(".*"):
            unfinished.unlink()
        for changed in (folder, self.folder, self.folder.parent):
            sync_folder(changed)
        new_link = self.root / f".{self.link.name}.part"
        new_link.unlink(missing_ok=True)
        new_link.symlink_to(folder.relative_to(self.root))
        new_link.replace(self.link)
        sync_folder(self.root)
        self.finish_interrupted()
        for old in self._folders():
            if old not in (folder, previous):
                _drop(old)
                _mark(old).unlink(missing_ok=True)

    def delete(self) -> None:
        """Remove the link, then all folders."""
        self.finish_interrupted()
        if self.link.is_symlink():
            self.link.unlink()
            sync_folder(self.root)  # else a power cut could restore a link to deleted folders
        if self.folder.exists():
            _drop(self.folder)


def _slug(version: str) -> str:
    """Return a version as a file name that is valid on every file system."""
    quoted = quote(version, safe="")
    if len(quoted) <= MAX_VERSION:
        return quoted
    return f"{quoted[:MAX_VERSION]}-{hashlib.sha256(version.encode()).hexdigest()[:16]}"


def _mark(folder: Path) -> Path:
    """Return the file that marks a folder as published."""
    return folder.with_name(f"published.{folder.name}")


def _dropped(folder: Path) -> Path:
    return folder.with_name(f"dropped.{folder.name}")


def _drop(folder: Path) -> None:
    """Rename a folder, then remove it, so that a crash leaves no partial folder of that name."""
    dropped = _dropped(folder)
    shutil.rmtree(dropped, ignore_errors=True)
    folder.rename(dropped)
    shutil.rmtree(dropped)
