"""Where to compute, and what this machine's processor is made for."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
"""Where to compute; "auto" takes CUDA where present."""


BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""As /proc/cpuinfo names them: x86's two, and Arm's."""


@cache
def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 faster than float32; False where unknown."""
    return bool(BFLOAT16_FLAGS & _flags(_lines(cpuinfo)))


@cache
def is_amd_with_avx512(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor is AMD's and has AVX-512; False where that is not known."""
    lines = _lines(cpuinfo)
    return any("AuthenticAMD" in line for line in lines) and "avx512f" in _flags(lines)


def _lines(cpuinfo: Path) -> list[str]:
    try:
        return cpuinfo.read_text().splitlines()
    except OSError:
        return []


def _flags(lines: list[str]) -> set[str]:
    found = next((t for t in lines if t.lower().startswith(("flags", "features"))), "")
    return set(found.lower().split())
