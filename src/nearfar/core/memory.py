"""How much memory there is."""

from __future__ import annotations

import os
from pathlib import Path

from nearfar.core.errors import DoesNotFitError

CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def available_bytes() -> int:
    """Memory that is available now without swapping, within the container's limit."""
    found = [_from_meminfo()]
    for path in CGROUP_LIMITS:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return min(found)


def _from_meminfo() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require(needed_bytes: int, what: str, advice: str) -> None:
    """Refuse work that will not fit, before it starts.

    Raises:
        DoesNotFitError: more is needed than is available.
    """
    available = available_bytes()
    if needed_bytes > available:
        raise DoesNotFitError(
            f"{what} needs {readable(needed_bytes)} of memory and {readable(available)} are "
            f"available; {advice}"
        )


def readable(n_bytes: float) -> str:
    """A number of bytes as people write it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if n_bytes < 1024:
            return f"{n_bytes:.0f} {unit}" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.1f} TiB"
