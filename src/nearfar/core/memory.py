"""The available memory, and a check that work fits into it."""

from __future__ import annotations

import os
from pathlib import Path

from nearfar.core.errors import DoesNotFitError

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_bytes() -> int:
    """Return the memory available now without swapping, at most the container's limit."""
    limits = [_system_bytes()]
    for path in CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return min(limits)


def _system_bytes() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require(needed_bytes: int, what: str, advice: str) -> None:
    """Check, before work starts, that its memory is available.

    Args:
        needed_bytes: bytes that the work needs.
        what: the work; the subject of the message's sentence.
        advice: what to do instead.

    Raises:
        DoesNotFitError: more memory is needed than available.
    """
    available = available_bytes()
    if needed_bytes > available:
        raise DoesNotFitError(
            f"{what} needs {readable(needed_bytes)} of memory and {readable(available)} are "
            f"available; {advice}"
        )


def readable(n_bytes: float) -> str:
    """Return a number of bytes as text with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} TiB"
