"""The registry: versions of the model, which one is current, and everything that happened.

registry/
    versions/VERSION/bundle/        the bundle
    versions/VERSION/extended/      the same with items that came since the training
    versions/VERSION/onnx/          the same as ONNX graphs, where that is set
    versions/VERSION/version.json   lineage, metrics, gates
    items.parquet                   titles of items, renewed by every run
    current.json                    the pointer that scoring and serving follow
    registry.db                     a row for everything that happened (SQLite)
    events.jsonl                    the same as lines
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from nearfar.bundle.bundle import Bundle, jsonable
from nearfar.bundle.exports.export import Export
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.bundle.registry_layout import BUNDLE, POINTER
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.files import atomic_folder, read_json, write_json

RECORD = "version.json"
DATABASE = "registry.db"
UNFINISHED = "unfinished"
LINES = "events.jsonl"

SCHEMA = """
create table if not exists events (
    id integer primary key, at text not null, job text not null, outcome text not null,
    version text, as_of text, seconds real, detail text not null
)
"""


@dataclass(frozen=True)
class Version:
    """One trained model.

    Args:
        name: of the version, unique; later ones sort after earlier ones.
        as_of: the day up to which events were used.
        passed: whether every gate let it through.
        record: all that is known: lineage, metrics, gates.

    Examples:
        >>> from nearfar.jobs.registry import Version
        >>> Version("2026-05-01-001", "2026-05-01", passed=True).name
        '2026-05-01-001'
    """

    name: str
    as_of: str
    passed: bool
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Registry:
    """Versions, the pointer and the events, in one folder.

    Examples:
        >>> from nearfar.jobs.registry import Registry
        >>> Registry(Path("registry")).versions()
        []
    """

    folder: Path

    def versions(self) -> list[Version]:
        """All versions, the oldest first.

        Raises: ArtefactError where a version's record is damaged.
        """
        root = self.folder / "versions"
        if not root.is_dir():
            return []
        # A job that was killed may have left a version behind that has no name yet.
        named = (p for p in root.iterdir() if not p.name.startswith("."))
        names = sorted(p.name for p in named if (p / RECORD).is_file())
        return [self.version(name) for name in names]

    def unfinished_folder(self, as_of: date) -> Path:
        """Where the training of a day keeps its checkpoint until it is registered."""
        return self.folder / UNFINISHED / str(as_of)

    def scored_mark(self, as_of: date) -> Path:
        """The file that says what a published day was scored from."""
        return self.folder / "scored" / f"{as_of}.json"

    def quarantine(self, job: str, as_of: date) -> Path:
        """Where a job puts the events that the contract refused."""
        return self.folder / "quarantine" / f"{job}-{as_of}.parquet"

    def unfinished(self) -> list[str]:
        """Days whose training was stopped and can be taken up, the oldest first."""
        root = self.folder / UNFINISHED
        return sorted(p.name for p in root.iterdir()) if root.is_dir() else []

    def version(self, name: str) -> Version:
        """One version by its name.

        Raises: SettingsError where there is none of that name.
        """
        path = self._folder(name) / RECORD
        if not path.is_file():
            known = ", ".join(v.name for v in self.versions()[-5:]) if name else ""
            raise SettingsError(f"there is no version {name!r}; the last ones: {known or 'none'}")
        record = read_json(path)
        try:
            return Version(record["name"], record["as_of"], bool(record["passed"]), record)
        except KeyError as error:
            raise ArtefactError(f"{path} is damaged: it has no {error}") from None

    def bundle(self, name: str, **options: Any) -> Bundle:
        """The bundle of a version; options as for `load_bundle`."""
        return load_bundle(self._folder(self.version(name).name) / BUNDLE, **options)

    def bundle_folder(self, name: str) -> Path:
        """Where a version's bundle lies."""
        return self._folder(name) / BUNDLE

    def new_name(self, as_of: str) -> str:
        """A name for a version trained as of a day: the day and a number."""
        names = {v.name for v in self.versions()}
        # Also those that retention has removed: rows and days still speak of them.
        names |= {str(e["version"]) for e in self.events("train", limit=-1) if e["version"]}
        taken = {name for name in names if name.rpartition("-")[0] == as_of}
        number = 1 + max((int(name.rpartition("-")[2]) for name in taken), default=0)
        return f"{as_of}-{number:03d}"

    def register(
        self,
        bundle: Bundle,
        name: str,
        record: Mapping[str, Any],
        exports: Mapping[str, Export] | None = None,
    ) -> Version:
        """Keep a bundle and what is known of it as a version, atomically.

        Args:
            bundle: the model.
            name: of the version.
            record: what is known of it, JSON-able.
            exports: of the bundle, by the folder beside it that each goes to.
        """
        for left in (self.folder / "versions").glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)
        content = {"name": name, "created": _now(), **jsonable(dict(record))}
        with atomic_folder(self._folder(name), overwrite_if=lambda _: False) as folder:
            save_bundle(bundle, folder / BUNDLE)
            for place, export in (exports or {}).items():
                export.write(bundle, folder / place)
            write_json(folder / RECORD, content)
        return self.version(name)

    def remove_versions(self, keep: int) -> list[str]:
        """Remove old versions; returns their names.

        The newest `keep` stay, the current one and all after it, and the one that a rollback
        leads to. The pointer forgets the others first, so that no rollback leads to nothing.

        Args:
            keep: how many of the newest, at least 1.
        """
        names = [v.name for v in self.versions()]
        pointer = self.pointer()
        before = pointer.get("before", [])
        kept = {*names[-keep:], *before[-1:]}
        current = pointer.get("version")
        kept |= {name for name in names if current is None or name >= current}
        removed = [name for name in names if name not in kept]
        if any(name in removed for name in before):
            rest = [name for name in before if name not in removed]
            write_json(self.folder / POINTER, {**pointer, "before": rest})
        for name in removed:
            folder = self._folder(name)
            hidden = folder.with_name(f".{name}.part")  # readers see it complete or not at all
            shutil.rmtree(hidden, ignore_errors=True)
            folder.rename(hidden)
            shutil.rmtree(hidden)
        return removed

    def current(self) -> str | None:
        """The version that is published, or None."""
        return self.pointer().get("version")

    def pointer(self) -> dict[str, Any]:
        """What the pointer says: version, previous ones, when it was moved; empty without one.

        Raises: ArtefactError where it is damaged.
        """
        path = self.folder / POINTER
        if not path.exists():
            return {}
        found = read_json(path)
        before = found.get("before", [])
        names = [found.get("version"), *(before if isinstance(before, list) else [None])]
        if not all(isinstance(name, str) and name for name in names):
            raise ArtefactError(
                f"{path} is damaged: its version is {str(found.get('version'))[:100]!r}; restore "
                "it, or remove it and publish a version by name"
            )
        return found

    def point_to(self, name: str, *, forget_last: bool = False) -> None:
        """Move the pointer, in one rename; the versions before are remembered for rollback.

        Args:
            name: a version.
            forget_last: `name` is the one before, and what was current is not to be gone back to.
        """
        self.version(name)
        old = self.pointer()
        before = list(old.get("before", []))
        if forget_last:
            before = before[:-1]
        elif old.get("version") not in (None, name):
            before.append(old["version"])
        write_json(
            self.folder / POINTER, {"version": name, "before": before[-20:], "moved": _now()}
        )

    def note(
        self,
        job: str,
        outcome: str,
        *,
        version: str | None = None,
        as_of: str | None = None,
        seconds: float | None = None,
        **detail: Any,
    ) -> dict[str, Any]:
        """Something happened: a row in the database and a line in the file; returns it."""
        event = {
            "at": _now(), "job": job, "outcome": outcome, "version": version, "as_of": as_of,
            "seconds": seconds, "detail": jsonable(detail),
        }  # fmt: skip
        with self._database() as database:
            row = {**event, "detail": json.dumps(event["detail"], ensure_ascii=False)}
            database.execute(
                "insert into events (at, job, outcome, version, as_of, seconds, detail) values "
                "(:at, :job, :outcome, :version, :as_of, :seconds, :detail)",
                row,
            )
        line = json.dumps(event, ensure_ascii=False) + "\n"
        with (self.folder / LINES).open("ab", buffering=0) as file:
            file.write(line.encode())
        return event

    def events(self, job: str | None = None, limit: int = 1000) -> list[dict[str, Any]]:
        """What happened, the latest first; a limit of -1 is none."""
        if not (self.folder / DATABASE).exists():
            return []
        with self._database() as database:
            rows = database.execute(
                "select at, job, outcome, version, as_of, seconds, detail from events "
                "where ? is null or job = ? order by id desc limit ?",
                (job, job, limit),
            ).fetchall()
        names = ("at", "job", "outcome", "version", "as_of", "seconds")
        return [{**dict(zip(names, row, strict=False)), "detail": json.loads(row[6])}
                for row in rows]  # fmt: skip

    def ever_published(self) -> set[str]:
        """Names of the versions that are or have been current.

        The pointer counts beside the rows: a job may be stopped after it moved the one and before
        it wrote the other.
        """
        pointer = self.pointer()
        found = {*pointer.get("before", []), *filter(None, [pointer.get("version")])}
        for event in self.events("publish", limit=-1):
            if event["outcome"] == "done":
                found.add(event["version"])
        return found | {e["detail"].get("left", "") for e in self.events("rollback", limit=-1)}

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / DATABASE
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=30)) as connection, connection:
                connection.execute(SCHEMA)
                yield connection
        except sqlite3.DatabaseError as error:
            raise ArtefactError(
                f"{path}: {error}. Free space on its disk, or give rights to write it; where it "
                f"is damaged, move it away: {LINES} beside it has the same events"
            ) from None

    def _folder(self, name: str) -> Path:
        if not name or Path(name).name != name or name.startswith("."):
            raise SettingsError(f"{name!r} is no name of a version")
        return self.folder / "versions" / name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
