"""One job at a time per registry; a job that fails is recorded."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nearfar.core.errors import NearfarError
from nearfar.core.secrets import masked
from nearfar.jobs.registry import Registry
from nearfar.store.contracts import BrokenContractError


class LockedError(NearfarError):
    """Another job is running on the registry."""


class RefusedError(NearfarError):
    """A candidate did not pass the gates."""


NAME = ".lock"

Say = Callable[[str], object]
"""Told in one line what is being done."""


@contextlib.contextmanager
def locked(folder: Path, job: str) -> Iterator[None]:
    """Hold the registry's lock; it ends with the process that holds it, however that ends.

    The lock is the operating system's (flock), so there are no stale owners on one machine: what
    a job killed by -9 left in the file is only who it was. On network file systems that do not
    pass flock on to other machines, let the scheduler run one job at a time.

    Raises: LockedError where another job holds it; it says which, since when and where.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LockedError(f"{_owner(file.name)}; wait for it to end") from None
        file.truncate(0)
        owner = {
            "job": job, "pid": os.getpid(), "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        file.write(json.dumps(owner))
        file.flush()
        yield
        file.truncate(0)


def _owner(path: str) -> str:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        return (
            f"{found['job']} (process {found['pid']} on {found['host']}) is running on this "
            f"registry since {found['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "another job is running on this registry"


@contextlib.contextmanager
def recorded(registry: Registry, job: str, **known: Any) -> Iterator[None]:
    """Hold the registry's lock while a job works; if it fails, that is noted, and why.

    A job that finds the registry locked notes that too: SQLite takes one writer after the other,
    and a line is appended by one write, so that nothing of the job that holds the lock is touched.

    Args:
        registry: whose lock is held.
        job: its name.
        known: of the job already, as `version` or `as_of`; see `Registry.note`.

    Raises: LockedError where another job is running, and whatever the job raises.
    """
    started = time.perf_counter()
    try:
        with locked(registry.folder, job):
            registry.events(limit=1)  # a record that cannot be kept is told before the work
            yield
    except RefusedError:
        raise
    except Exception as error:
        detail: dict[str, Any] = counts_of(error)
        if isinstance(error, LockedError):
            detail["busy"] = True
        # Where that fails too, as on a full disk, the first error is the one to tell.
        with contextlib.suppress(NearfarError, OSError):
            registry.note(
                job, "failed", seconds=time.perf_counter() - started, reason=told(error),
                kind=type(error).__name__, **known, **detail,
            )  # fmt: skip
        raise


def told(error: Exception) -> str:
    """Return what an error says, without secrets, or what it is where it says nothing."""
    return masked(str(error)) or type(error).__name__


def counts_of(error: Exception) -> dict[str, Any]:
    """What the contract counted before it failed a job; nothing of other failures."""
    if not isinstance(error, BrokenContractError):
        return {}
    report = error.report
    return {
        "events": report.n_accepted, "rejected": report.n_rejected,
        "contract": {"reasons": report.rejected, "shares": report.shares, "broken": report.broken},
    }  # fmt: skip
