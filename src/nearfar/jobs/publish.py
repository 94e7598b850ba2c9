"""Set the current version: publish a candidate, or roll back to the previous version."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from nearfar.core.errors import SettingsError
from nearfar.jobs.job import RefusedError as RefusedError
from nearfar.jobs.job import recorded
from nearfar.jobs.registry import Registry, Version


def publish(
    registry_folder: str | Path, name: str | None = None, *, force: bool = False
) -> Version:
    """Make a version current, by one atomic move of the pointer.

    Before the pointer moves, the bundle is read and every file checked against its checksum.

    Args:
        registry_folder: folder of the registry.
        name: name of the version; by default the latest that passed the gates.
        force: publish a version that the gates refused.

    Raises:
        SettingsError: the version does not exist, or no version passed.
        RefusedError: the gates refused the version.
        ArtefactError: the bundle is damaged; the pointer does not move.
        LockedError: another job is running.

    Examples:
        >>> from nearfar.jobs.publish import publish
        >>> publish("registry", "2026-05-01-001").name  # doctest: +SKIP
    """
    registry = Registry(Path(registry_folder))
    with recorded(registry, "publish", version=name):
        version = registry.version(name) if name else _latest(registry)
        if not version.passed and not force:
            failed = [g["gate"] for g in version.record.get("gates", []) if not g["passed"]]
            registry.note("publish", "refused", version=version.name, gates=failed)
            raise RefusedError(
                f"{version.name} did not pass {', '.join(failed)}; publish another version, or "
                "this one with --force"
            )
        registry.bundle(version.name)
        registry.point_to(version.name)
        registry.note("publish", "done", version=version.name, forced=force)
    return version


def rollback(registry_folder: str | Path) -> Version:
    """Make the previous version current; a later rollback does not return to the one left.

    Raises:
        SettingsError: nothing was published before.
        ArtefactError: the previous version's bundle is damaged; the pointer does not move.
        LockedError: another job is running.

    Examples:
        >>> from nearfar.jobs.publish import rollback
        >>> rollback("registry").name  # doctest: +SKIP
    """
    registry = Registry(Path(registry_folder))
    with recorded(registry, "rollback"):
        pointer = registry.pointer()
        before = pointer.get("before", [])
        if not before:
            raise SettingsError("no version was published before the current one")
        version = registry.version(before[-1])
        registry.bundle(version.name)
        registry.point_to(version.name, forget_last=True)
        registry.note("rollback", "done", version=version.name, left=pointer["version"])
    return version


def waiting_version(registry: Registry, as_of: date) -> Version | None:
    """Return the newest version up to a day that passed the gates and waits to be published.

    A version waits if it is newer than every version ever published: a job stopped between
    registering it and publishing it. A version that a rollback left is not published again.
    """
    passed = [v for v in registry.versions() if v.passed and v.as_of <= str(as_of)]
    if not passed:
        return None
    newest = max(registry.ever_published(), default="")
    return passed[-1] if passed[-1].name > newest else None


def refused_since(registry_folder: str | Path, version: Version) -> list[str]:
    """Return the names of the versions after `version` that the gates refused.

    Examples:
        >>> from nearfar.jobs.publish import refused_since
        >>> from nearfar.jobs.registry import Version
        >>> refused_since("registry", Version("2026-05-01-001", "2026-05-01", passed=True))
        []
    """
    versions = Registry(Path(registry_folder)).versions()
    return [v.name for v in versions if v.name > version.name and not v.passed]


def _latest(registry: Registry) -> Version:
    """Return the newest version that passed the gates."""
    versions = [v for v in registry.versions() if v.passed]
    if not versions:
        raise SettingsError("the registry has no version that passed the gates; train first")
    return versions[-1]
