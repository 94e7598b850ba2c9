"""What the weights that fall to a share of themselves have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from nearfar.core.ranges import NonNegativeInt, Share
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Falling(Weight):
    """From nothing to 1 in `warm_up` steps, then to `end` at the end of `epochs`, and so on.

    The course counts from the first step, so that a warm-up cuts its beginning off. With `epochs`
    0 it takes as many epochs as the training has.

    Args:
        epochs: length of the course; 0 for the length of the training.
        end: share of the full value at the end of the course.
        warm_up: steps in which the weight grows from nothing to 1.
    """

    epochs: NonNegativeInt = 20
    end: Share = 0.05
    warm_up: NonNegativeInt = 0

    def __call__(self, progress: Progress, /) -> float:
        if progress.step < self.warm_up:
            return (progress.step + 1) / self.warm_up
        epochs = self.epochs or progress.n_epochs
        return self._after(min(1.0, progress.step / (epochs * progress.n_steps)))

    @abstractmethod
    def _after(self, share: float) -> float:
        """The weight after a share of the course, from 1 at 0 to `end` at 1."""
