"""One job at a time a registry."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from nearfar.jobs.errors import LockedError as LockedError

NAME = ".lock"


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
