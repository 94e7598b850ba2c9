"""Where a number comes from: versions, machine, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

from nearfar.bundle.bundle import versions

PACKAGE = Path(__file__).parents[1]


def provenance(device: torch.device) -> dict[str, Any]:
    """Versions, machine and, in a checkout, the commit; JSON-able."""
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "versions": versions(),
        "machine": {
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "device": gpu or device.type,
        },
        "commit": commit(),
    }


def commit() -> str | None:
    """The commit that the package lies in, marked where files differ from it; None elsewhere."""
    if _git("ls-files", "--error-unmatch", "_version.py") is None:
        return None
    head = _git("rev-parse", "HEAD")
    changed = _git("diff", "--quiet", "HEAD", "--", ".") is None
    return f"{head}{'+changes' if changed else ''}" if head else None


def _git(*arguments: str) -> str | None:
    """What git answers about the package's folder; None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()
