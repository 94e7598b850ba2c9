"""A weight that falls along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nearfar.vae.weights._falling import Falling


@dataclass(frozen=True)
class Cosine(Falling):
    """From nothing to 1 in `warm_up` steps, then to `end` at the end of `epochs`, and so on.

    Source: Loshchilov and Hutter, SGDR, 2017, without restarts.
    """

    def _after(self, share: float) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * share)) / 2
