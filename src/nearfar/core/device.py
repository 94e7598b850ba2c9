"""The device to compute on, and the instructions that this machine's processor has."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
"""Device to compute on; "auto" uses CUDA if available."""


BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Flags in /proc/cpuinfo: two of x86, and Arm's."""


@cache
def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor multiplies bfloat16 faster than float32; False if unknown."""
    return bool(BFLOAT16_FLAGS & _flags(_lines(cpuinfo)))


@cache
def is_amd_with_avx512(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor is AMD's and has AVX-512; False if unknown."""
    lines = _lines(cpuinfo)
    return any("AuthenticAMD" in line for line in lines) and "avx512f" in _flags(lines)


def _lines(cpuinfo: Path) -> list[str]:
    try:
        return cpuinfo.read_text().splitlines()
    except OSError:
        return []


def _flags(lines: list[str]) -> set[str]:
    flags = next((t for t in lines if t.lower().startswith(("flags", "features"))), "")
    return set(flags.lower().split())
