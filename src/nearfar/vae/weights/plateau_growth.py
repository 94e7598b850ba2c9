"""Algorithm 1: a weight that grows when validation does not improve."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import NonNegativeFloat, PositiveFloat, PositiveInt
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class PlateauGrowth(Weight):
    """Starts at `start`, and is multiplied by `scale` after `patience` epochs without a new best.

    Notation: `start` = lambda_A, `patience` and `scale` as in the paper.
    Source: Algorithm 1; the count starts again after each growth.

    Args:
        start: the weight at the start.
        patience: epochs without a new best score before the weight grows.
        scale: factor by which the weight grows.

    Examples:
        >>> growth = nf.schedules.PlateauGrowth(start=1.0, patience=2, scale=1.5)
        >>> growth(nf.schedules.Progress(scores=(0.3, 0.2)))
        1.0
        >>> growth(nf.schedules.Progress(scores=(0.3, 0.2, 0.1)))
        1.5
    """

    start: NonNegativeFloat = 1.0
    patience: PositiveInt = 5
    scale: PositiveFloat = 1.2

    def __call__(self, progress: Progress, /) -> float:
        value, best, stalled = self.start, float("-inf"), 0
        for score in progress.scores:
            stalled = 0 if score > best else stalled + 1
            best = max(best, score)
            if stalled == self.patience:
                value, stalled = value * self.scale, 0
        return value
