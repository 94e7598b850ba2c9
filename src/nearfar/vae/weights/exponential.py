"""A weight that decays by the same factor every step."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import PositiveShare
from nearfar.vae.weights._decay import Decay


@dataclass(frozen=True)
class Exponential(Decay):
    """Grows from 0 to 1 in `warm_up` steps, then decays geometrically to `end`.

    It is below the square root of `end` for half of the decay; a cosine with an `end` of .01 is
    for a fifth.

    Examples:
        >>> schedule = nf.schedules.Exponential(epochs=10, warm_up=10)
        >>> [round(schedule(nf.schedules.Progress(step=s, n_steps=10)), 2) for s in (5, 50, 99)]
        [0.6, 0.1, 0.01]
    """

    end: PositiveShare = 0.01

    def _value_at(self, share: float) -> float:
        return self.end**share
