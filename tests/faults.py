"""Faults at every write: the n-th change to the disk or the database fails, kills, or loses power.

    for n in itertools.count(1):
        with Faults(n, "kill", root) as faults:
            with contextlib.suppress(Killed, Exception):
                job()
        ...                     # run it again, compare
        if not faults.hit:
            break               # there are fewer than n changes

"fail": the change raises what a full disk raises, and the process goes on. "kill": the process
changes nothing any more from there on; what it was about to clean up stays. "power": the same, and
what was not synced is lost too: contents of files, and names that were given, replaced or taken
away. SQLite and PostgreSQL sync what they commit; their files are left as they are.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

Mode = Literal["fail", "kill", "power"]
CHANGES = ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "symlink")
OF_DATABASES = (".db", ".db-wal", ".db-shm", ".db-journal")


class Killed(BaseException):
    """The process has ended."""


class Faults:
    """Counts the changes inside the block, and spoils the n-th.

    Args:
        n: from 1; 0 only counts.
        mode: how it is spoilt.
        root: where files are.
    """

    def __init__(self, n: int, mode: Mode, root: Path) -> None:
        self.n, self.mode, self.root = n, mode, root
        self.count, self.hit, self._dead = 0, False, False
        self._synced: dict[tuple[int, int], tuple[int, int]] = {}
        self._undo: list[tuple[Path, Callable[[], None]]] = []
        self._real = {name: getattr(os, name) for name in CHANGES}

    def __enter__(self) -> Faults:
        self._before = {
            self._inode(path): (self._state(path), path.read_bytes()) for path in self._files()
        }
        self._patch = pytest.MonkeyPatch()
        for name in CHANGES:
            self._patch.setattr(os, name, self._changing(name))
        for module in (io, builtins):
            self._patch.setattr(module, "open", self._opening(io.open))
        self._patch.setattr(sqlite3, "connect", self._connecting(sqlite3.connect))
        import psycopg

        self._wrap(psycopg.Connection, "execute", psycopg.OperationalError)
        self._wrap(psycopg.Cursor, "copy", psycopg.OperationalError)
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        if self.hit and self.mode == "power":
            self._lose()

    def step(self, error: Callable[[], Exception]) -> None:
        """One more change is about to be made."""
        if self._dead:
            raise Killed
        self.count += 1
        if self.count != self.n:
            return
        self.hit = True
        if self.mode == "fail":
            raise error()
        self._dead = True
        raise Killed

    def _changing(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def change(*args: Any, **named: Any) -> Any:
            told = args[1] if name in ("replace", "rename", "symlink") else args[0]
            self.step(lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(told)))
            if name == "fsync":
                result = real(*args, **named)
                self._sync(args[0])
                return result
            if not named.get("dir_fd") and not named.get("src_dir_fd"):
                pair, last = name in ("replace", "rename"), name == "symlink"
                told_paths = args[:2] if pair else args[1:2] if last else args[:1]
                self._remember(name, *map(Path, told_paths))
            return real(*args, **named)

        return change

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
            if not isinstance(file, int) and set(mode) & set("wax+") and self._within(file):
                self.step(lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file)))
            return real(file, mode, *args, **named)

        return opened

    def _connecting(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def full() -> Exception:
            return sqlite3.OperationalError("database or disk is full")

        faults = self

        class Connection(sqlite3.Connection):
            def execute(self, sql: str, *args: Any) -> Any:
                if not sql.lstrip().upper().startswith(("SELECT", "PRAGMA", "ROLLBACK")):
                    faults.step(full)
                return super().execute(sql, *args)

            def executemany(self, *args: Any) -> Any:
                faults.step(full)
                return super().executemany(*args)

            def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
                if kind is None:
                    try:
                        faults.step(full)
                    except BaseException:
                        self.rollback()
                        raise
                return super().__exit__(kind, error, trace)

        return lambda *args, **named: real(*args, factory=Connection, **named)

    def _wrap(self, cls: Any, name: str, error: Any) -> None:
        real = getattr(cls, name)

        def called(*args: Any, **named: Any) -> Any:
            self.step(lambda: error("disk full"))
            return real(*args, **named)

        self._patch.setattr(cls, name, called)

    # What a loss of power takes away.

    def _within(self, path: Any) -> bool:
        return Path(os.fsdecode(path)).absolute().is_relative_to(self.root)

    def _files(self) -> list[Path]:
        return [p for p in self.root.rglob("*") if p.is_file() and not p.is_symlink()
                and not p.name.endswith(OF_DATABASES)]  # fmt: skip

    @staticmethod
    def _inode(path: Path) -> tuple[int, int]:
        told = path.stat()
        return told.st_dev, told.st_ino

    @staticmethod
    def _state(path: Path) -> tuple[int, int]:
        told = path.stat()
        return told.st_size, told.st_mtime_ns

    def _sync(self, handle: int) -> None:
        told = os.fstat(handle)
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if path.is_dir():
            self._undo = [(folder, undo) for folder, undo in self._undo if folder != path]
        else:
            self._synced[told.st_dev, told.st_ino] = told.st_size, told.st_mtime_ns

    def _remember(self, name: str, *paths: Path) -> None:
        """How to take back a change of names, until its folder is synced."""
        target = paths[-1].absolute()
        if not self._within(target) or (target.is_dir() and not target.is_symlink()):
            return  # of folders: renamed whole, taken away empty
        old: Any = None
        if target.is_symlink():
            old = str(target.readlink())
        elif target.is_file():
            old = target.read_bytes()
        source = paths[0].absolute()

        def undo() -> None:
            if name in ("replace", "rename") and os.path.lexists(target):
                source.parent.mkdir(parents=True, exist_ok=True)
                self._real["rename"](target, source)
            elif name == "symlink" and target.is_symlink():
                self._real["unlink"](target)
            if isinstance(old, str):
                target.symlink_to(old)
            elif old is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(old)

        if name in ("replace", "rename", "unlink", "remove", "symlink"):
            self._undo.append((target.parent, undo))

    def _lose(self) -> None:
        for path in self._files():
            inode, state = self._inode(path), self._state(path)
            before, content = self._before.get(inode, (None, b""))
            if state not in (before, self._synced.get(inode)):
                path.write_bytes(content)
        for _, undo in reversed(self._undo):
            undo()
