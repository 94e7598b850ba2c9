"""A weight that decays along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nearfar.vae.weights._decay import Decay


@dataclass(frozen=True)
class Cosine(Decay):
    """Grows from 0 to 1 in `warm_up` steps, then decays along half a cosine to `end`.

    Source: Loshchilov and Hutter, SGDR, 2017, without restarts.

    Examples:
        >>> schedule = nf.schedules.Cosine(epochs=10, warm_up=10)
        >>> [round(schedule(nf.schedules.Progress(step=s, n_steps=10)), 2) for s in (5, 50, 99)]
        [0.6, 0.53, 0.05]
    """

    def _value_at(self, share: float) -> float:
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * share)) / 2
