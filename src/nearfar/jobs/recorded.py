"""A job under the registry's lock; what fails in it is recorded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from nearfar.core.errors import NearfarError
from nearfar.jobs.errors import LockedError, RefusedError
from nearfar.jobs.lock import locked
from nearfar.jobs.registry import Registry
from nearfar.store.contracts import BrokenContractError
from nearfar.store.secrets import masked


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
