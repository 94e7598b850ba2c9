"""What the processor is made for."""

from __future__ import annotations

from functools import cache
from pathlib import Path

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""As /proc/cpuinfo names them: x86's two, and Arm's."""


@cache
def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether it multiplies bfloat16 faster than float32; False where that is not known."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return False
    flags = next((t for t in lines if t.lower().startswith(("flags", "features"))), "")
    return bool(BFLOAT16_FLAGS & set(flags.lower().split()))
