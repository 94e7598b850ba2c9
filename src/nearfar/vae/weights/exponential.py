"""A weight that falls by the same factor every step."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import PositiveShare
from nearfar.vae.weights._falling import Falling


@dataclass(frozen=True)
class Exponential(Falling):
    """From nothing to 1 in `warm_up` steps, and geometrically to `end` at the end of `epochs`.

    Half of the course is spent below the square root of `end`, where a cosine with the
    `end` of .01 spends a fifth of it.

    Examples:
        >>> schedule = nf.schedules.Exponential(epochs=10, warm_up=10)
        >>> [round(schedule(nf.schedules.Progress(step=s, n_steps=10)), 2) for s in (5, 50, 99)]
        [0.6, 0.1, 0.01]
    """

    end: PositiveShare = 0.01

    def _after(self, share: float) -> float:
        return self.end**share
