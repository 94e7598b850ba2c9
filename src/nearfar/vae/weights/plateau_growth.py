"""Algorithm 1: a weight that grows whenever validation stalls."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class PlateauGrowth(Weight):
    """`start`, times `scale` after every `patience` epochs in a row without a new best score.

    Notation: `start` = lambda_A, `patience` and `scale` as in the paper.
    Source: Algorithm 1; the count starts again after each growth.
    """

    start: float = 1.0
    patience: int = 5
    scale: float = 1.2

    def __post_init__(self) -> None:
        if self.start < 0 or self.patience < 1 or self.scale <= 0:
            raise SettingsError(
                f"start {self.start}, patience {self.patience}, scale {self.scale}: start must not "
                "be negative, patience at least 1, scale above 0"
            )

    def __call__(self, progress: Progress, /) -> float:
        value, best, stalled = self.start, float("-inf"), 0
        for score in progress.scores:
            stalled = 0 if score > best else stalled + 1
            best = max(best, score)
            if stalled == self.patience:
                value, stalled = value * self.scale, 0
        return value
