"""What the weights that fall to a share of themselves have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Falling(Weight):
    """From nothing to 1 in `warm_up` steps, then to `end` at the end of `epochs`, and so on.

    The course counts from the first step, so that a warm-up cuts its beginning off. With `epochs`
    0 it takes as many epochs as the training has.
    """

    epochs: int = 20
    end: float = 0.05
    warm_up: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or not 0 <= self.end <= 1 or self.warm_up < 0:
            raise SettingsError(
                f"epochs {self.epochs}, end {self.end}, warm_up {self.warm_up}: epochs and warm_up "
                "must not be negative, end from 0 to 1"
            )

    def __call__(self, progress: Progress, /) -> float:
        if progress.step < self.warm_up:
            return (progress.step + 1) / self.warm_up
        epochs = self.epochs or progress.n_epochs
        return self._after(min(1.0, progress.step / (epochs * progress.n_steps)))

    @abstractmethod
    def _after(self, share: float) -> float:
        """The weight after a share of the course, from 1 at 0 to `end` at 1."""
