"""Where to compute; "auto" takes CUDA where present."""

from __future__ import annotations

from typing import Literal

Device = Literal["auto", "cpu", "cuda"]
