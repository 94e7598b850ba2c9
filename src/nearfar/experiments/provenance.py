"""The provenance of a result: versions, machine and commit."""

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
    """Return the versions, the machine and, in a checkout, the commit; JSON-able."""
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
    """Return the commit of the package's checkout, with "+changes" if files differ from it.

    Returns None outside a checkout.
    """
    if _git("ls-files", "--error-unmatch", "_version.py") is None:
        return None
    head = _git("rev-parse", "HEAD")
    changed = _git("diff", "--quiet", "HEAD", "--", ".") is None
    return f"{head}{'+changes' if changed else ''}" if head else None


def _git(*arguments: str) -> str | None:
    """Run git in the package's folder and return its output; None if git fails or is missing."""
    try:
        process = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return None if process.returncode else process.stdout.strip()
