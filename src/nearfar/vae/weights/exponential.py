"""A weight that falls by the same factor every step."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Exponential(Weight):
    """From nothing to 1 in `warm_up` steps, and geometrically to `end` at the end of `epochs`.

    Half of the course is spent below the square root of `end`, where a cosine with the
    `end` of .01 spends a fifth of it.
    """

    epochs: int = 20
    end: float = 0.01
    warm_up: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or not 0 < self.end <= 1 or self.warm_up < 0:
            raise SettingsError(
                f"epochs {self.epochs}, end {self.end}, warm_up {self.warm_up}: epochs must be at "
                "least 1, end above 0 and at most 1, warm_up not negative"
            )

    def __call__(self, progress: Progress, /) -> float:
        if progress.step < self.warm_up:
            return (progress.step + 1) / self.warm_up
        return self.end ** min(1.0, progress.step / (self.epochs * progress.n_steps))
