"""Which version is current: publish a candidate, go back to the one before."""

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

    The bundle is read whole, every file against its checksum, before the pointer moves.

    Args:
        registry_folder: the registry.
        name: the version; by default the latest that passed the gates.
        force: also one that the gates refused.

    Raises:
        SettingsError: there is no such version, or none that passed.
        RefusedError: the gates refused it.
        ArtefactError: its bundle is damaged; the pointer stays.
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
    """Make the version current that was before; the one that is left is not gone back to.

    Raises: SettingsError where nothing was published before.

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


def waiting(registry: Registry, as_of: date) -> Version | None:
    """The newest version up to a day that passed the gates, if nothing as new was ever published.

    So it is found again where a job was stopped between registering and publishing, and what a
    rollback has left, or what is older than that, is not.
    """
    passed = [v for v in registry.versions() if v.passed and v.as_of <= str(as_of)]
    if not passed:
        return None
    newest = max(registry.ever_published(), default="")
    return passed[-1] if passed[-1].name > newest else None


def refused_since(registry_folder: str | Path, version: Version) -> list[str]:
    """Names of the versions after `version` that the gates refused.

    Examples:
        >>> from nearfar.jobs.publish import refused_since
        >>> from nearfar.jobs.registry import Version
        >>> refused_since("registry", Version("2026-05-01-001", "2026-05-01", passed=True))
        []
    """
    versions = Registry(Path(registry_folder)).versions()
    return [v.name for v in versions if v.name > version.name and not v.passed]


def _latest(registry: Registry) -> Version:
    """The newest version that passed."""
    versions = [v for v in registry.versions() if v.passed]
    if not versions:
        raise SettingsError("the registry has no version that passed the gates; train first")
    return versions[-1]
