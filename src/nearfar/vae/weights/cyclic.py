"""A weight that grows to its full value in every cycle."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import NonNegativeFloat, PositiveInt, PositiveShare
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Cyclic(Weight):
    """Grows from 0 to `end` in the first `rising` of every cycle, and stays there for the rest.

    Source: Fu et al., Cyclical Annealing Schedule, 2019.

    Args:
        end: the full value.
        epochs: length of a cycle in epochs.
        rising: share of a cycle in which the weight grows.

    Examples:
        >>> schedule = nf.schedules.Cyclic(end=0.2, epochs=2)
        >>> [round(schedule(nf.schedules.Progress(step=s, n_steps=10)), 2) for s in (0, 5, 15, 20)]
        [0.0, 0.1, 0.2, 0.0]
    """

    end: NonNegativeFloat = 0.2
    epochs: PositiveInt = 10
    rising: PositiveShare = 0.5

    def __call__(self, progress: Progress, /) -> float:
        length = self.epochs * progress.n_steps
        share = progress.step % length / length
        return self.end * min(1.0, share / self.rising)
