"""Run one job at a time per registry, and record the jobs that fail."""

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


LOCK_FILE = ".lock"

Say = Callable[[str], object]
"""Receives one line on what is being done."""


@contextlib.contextmanager
def locked(folder: Path, job: str) -> Iterator[None]:
    """Hold the registry's lock; a process that ends in any way releases it.

    The lock is the operating system's (flock), so a job killed by -9 leaves no stale lock: the file
    only names the last owner. On network file systems that do not pass flock on to other machines,
    let the scheduler run one job at a time.

    Raises:
        LockedError: another job holds the lock; the message says which, since when and where.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_FILE).open("a+", encoding="utf-8") as file:
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
        owner = json.loads(Path(path).read_text(encoding="utf-8"))
        return (
            f"{owner['job']} (process {owner['pid']} on {owner['host']}) has been running on this "
            f"registry since {owner['since']}"
        )
    except (OSError, ValueError, KeyError):
        return "another job is running on this registry"


@contextlib.contextmanager
def recorded(registry: Registry, job: str, **known: Any) -> Iterator[None]:
    """Hold the registry's lock while a job runs, and record why it failed if it fails.

    A job that finds the registry locked records that too. This is safe: SQLite serialises writers,
    and a line is appended by one write.

    Args:
        registry: registry to lock.
        job: name of the job.
        known: details known beforehand, such as `version` or `as_of`; see `Registry.note`.

    Raises:
        LockedError: another job is running.
        Exception: whatever the job raises.
    """
    started = time.perf_counter()
    try:
        with locked(registry.folder, job):
            registry.events(limit=1)  # fail before the work if the database cannot be opened
            yield
    except RefusedError:
        raise
    except Exception as error:
        detail: dict[str, Any] = counts_of(error)
        if isinstance(error, LockedError):
            detail["busy"] = True
        # If recording fails too, as on a full disk, the first error matters.
        with contextlib.suppress(NearfarError, OSError):
            registry.note(
                job, "failed", seconds=time.perf_counter() - started, reason=error_text(error),
                kind=type(error).__name__, **known, **detail,
            )  # fmt: skip
        raise


def error_text(error: Exception) -> str:
    """Return an error's message without secrets, or its class name if it has no message."""
    return masked(str(error)) or type(error).__name__


def counts_of(error: Exception) -> dict[str, Any]:
    """Return what the contract counted before it failed a job; empty for other errors."""
    if not isinstance(error, BrokenContractError):
        return {}
    report = error.report
    return {
        "events": report.n_accepted, "rejected": report.n_rejected,
        "contract": {"reasons": report.rejected, "shares": report.shares, "broken": report.broken},
    }  # fmt: skip
