"""The registry: versions of the model, the pointer to the current one, and a log of all jobs.

registry/
    versions/VERSION/bundle/        the bundle
    versions/VERSION/extended/      the same with items that came since the training
    versions/VERSION/onnx/          the same as ONNX graphs, if exports are set
    versions/VERSION/version.json   lineage, metrics, gates
    items.parquet                   titles of items, updated by every run
    current.json                    the pointer that scoring and serving follow
    registry.db                     a row per run of a job (SQLite)
    events.jsonl                    the same as lines of JSON
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
    """A trained model in the registry.

    Args:
        name: unique name; names sort by age.
        as_of: last day of the events it was trained on, as ISO date.
        passed: whether it passed every gate.
        record: lineage, metrics, gates and all else that `version.json` holds.

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
    """A folder of versions, the pointer to the current one, and the events of jobs.

    Examples:
        >>> from nearfar.jobs.registry import Registry
        >>> Registry(Path("registry")).versions()
        []
    """

    folder: Path

    def versions(self) -> list[Version]:
        """Return all versions, the oldest first.

        Raises:
            ArtefactError: a version's record is damaged.
        """
        root = self.folder / "versions"
        if not root.is_dir():
            return []
        # A killed job may leave an incomplete version in a hidden folder.
        folders = (p for p in root.iterdir() if not p.name.startswith("."))
        names = sorted(p.name for p in folders if (p / RECORD).is_file())
        return [self.version(name) for name in names]

    def unfinished_folder(self, as_of: date) -> Path:
        """Return the folder of a day's checkpoint, used until the version is registered."""
        return self.folder / UNFINISHED / str(as_of)

    def scored_mark(self, as_of: date) -> Path:
        """Return the file that records the inputs of a published day."""
        return self.folder / "scored" / f"{as_of}.json"

    def quarantine(self, job: str, as_of: date) -> Path:
        """Return the file of the events that the contract refused in a job."""
        return self.folder / "quarantine" / f"{job}-{as_of}.parquet"

    def unfinished(self) -> list[str]:
        """Return the days whose training stopped and can resume, the oldest first."""
        root = self.folder / UNFINISHED
        return sorted(p.name for p in root.iterdir()) if root.is_dir() else []

    def version(self, name: str) -> Version:
        """Return a version by its name.

        Raises:
            SettingsError: no version has that name.
            ArtefactError: its record is damaged.
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
        """Load the bundle of a version; `options` are those of `load_bundle`."""
        return load_bundle(self._folder(self.version(name).name) / BUNDLE, **options)

    def bundle_folder(self, name: str) -> Path:
        """Return the folder of a version's bundle."""
        return self._folder(name) / BUNDLE

    def new_name(self, as_of: str) -> str:
        """Return an unused version name for a day: the day and a number."""
        names = {v.name for v in self.versions()}
        # Names that retention removed stay used: events and published days still refer to them.
        names |= {str(e["version"]) for e in self.events("train", limit=-1) if e["version"]}
        names_of_day = {name for name in names if name.rpartition("-")[0] == as_of}
        number = 1 + max((int(name.rpartition("-")[2]) for name in names_of_day), default=0)
        return f"{as_of}-{number:03d}"

    def register(
        self,
        bundle: Bundle,
        name: str,
        record: Mapping[str, Any],
        exports: Mapping[str, Export] | None = None,
    ) -> Version:
        """Save a bundle with its record as a version, atomically.

        Args:
            bundle: the model.
            name: name of the version.
            record: lineage, metrics and gates, JSON-able.
            exports: exports of the bundle, each under the name of its folder beside the bundle.
        """
        for leftover in (self.folder / "versions").glob(".*.part"):
            shutil.rmtree(leftover, ignore_errors=True)
        full_record = {"name": name, "created": _now(), **jsonable(dict(record))}
        with atomic_folder(self._folder(name), overwrite_if=lambda _: False) as folder:
            save_bundle(bundle, folder / BUNDLE)
            for place, export in (exports or {}).items():
                export.write(bundle, folder / place)
            write_json(folder / RECORD, full_record)
        return self.version(name)

    def remove_versions(self, keep: int) -> list[str]:
        """Remove old versions and return their names.

        It keeps the newest `keep`, the current version and all after it, and the one that a
        rollback restores. The pointer forgets the others before they are deleted.

        Args:
            keep: number of newest versions to keep, at least 1.
        """
        names = [v.name for v in self.versions()]
        pointer = self.pointer()
        before = pointer.get("before", [])
        protected = {*names[-keep:], *before[-1:]}
        current = pointer.get("version")
        protected |= {name for name in names if current is None or name >= current}
        removed = [name for name in names if name not in protected]
        if any(name in removed for name in before):
            remaining = [name for name in before if name not in removed]
            write_json(self.folder / POINTER, {**pointer, "before": remaining})
        for name in removed:
            folder = self._folder(name)
            hidden = folder.with_name(f".{name}.part")  # readers never see half a version
            shutil.rmtree(hidden, ignore_errors=True)
            folder.rename(hidden)
            shutil.rmtree(hidden)
        return removed

    def current(self) -> str | None:
        """Return the name of the published version, or None."""
        return self.pointer().get("version")

    def pointer(self) -> dict[str, Any]:
        """Return the pointer's version, the previous ones and when it moved; {} without a pointer.

        Raises:
            ArtefactError: the pointer's file is damaged.
        """
        path = self.folder / POINTER
        if not path.exists():
            return {}
        pointer = read_json(path)
        before = pointer.get("before", [])
        names = [pointer.get("version"), *(before if isinstance(before, list) else [None])]
        if not all(isinstance(name, str) and name for name in names):
            raise ArtefactError(
                f"{path} is damaged: its version is {str(pointer.get('version'))[:100]!r}; restore "
                "it, or remove it and publish a version by name"
            )
        return pointer

    def point_to(self, name: str, *, forget_last: bool = False) -> None:
        """Move the pointer in one rename; it remembers the previous versions for rollback.

        Args:
            name: name of the version.
            forget_last: for a rollback: do not remember the current version.
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
        """Record an event as a row in the database and a line in the file; return the event."""
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
        """Return the events, the latest first; a limit of -1 means no limit."""
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
        """Return the names of the versions that are or have been current."""
        # The pointer counts too: a job may stop after it moved it and before it noted the event.
        pointer = self.pointer()
        names = {*pointer.get("before", []), *filter(None, [pointer.get("version")])}
        for event in self.events("publish", limit=-1):
            if event["outcome"] == "done":
                names.add(event["version"])
        return names | {e["detail"].get("left", "") for e in self.events("rollback", limit=-1)}

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
                f"{path}: {error}. Free disk space, or make the file writable; if it is damaged, "
                f"move it away: {LINES} beside it has the same events"
            ) from None

    def _folder(self, name: str) -> Path:
        if not name or Path(name).name != name or name.startswith("."):
            raise SettingsError(f"{name!r} is no version name; expected one like 2026-05-01-001")
        return self.folder / "versions" / name


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
