"""A weight that falls along half a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Cosine(Weight):
    """From nothing to 1 in `warm_up` steps, then to `end` at the end of `epochs`, and so on.

    Source: Loshchilov and Hutter, SGDR, 2017, without restarts.
    """

    epochs: int = 20
    end: float = 0.05
    warm_up: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.end < 0 or self.warm_up < 0:
            raise SettingsError(
                f"epochs {self.epochs}, end {self.end}, warm_up {self.warm_up}: epochs must be at "
                "least 1, the others not negative"
            )

    def __call__(self, progress: Progress, /) -> float:
        if progress.step < self.warm_up:
            return (progress.step + 1) / self.warm_up
        share = min(1.0, progress.step / (self.epochs * progress.n_steps))
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * share)) / 2
