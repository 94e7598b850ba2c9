"""The base class of weights that decay to a share of their full value."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from nearfar.core.ranges import NonNegativeInt, Share
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Decay(Weight):
    """Grows from 0 to 1 in `warm_up` steps, then decays to `end` until the end of `epochs`.

    The decay counts from the first step, so that a warm-up replaces its beginning. After `epochs`
    the weight stays at `end`.

    Args:
        epochs: length of the decay in epochs; 0 for the length of the training.
        end: share of the full value at the end of the decay.
        warm_up: steps in which the weight grows from 0 to 1.
    """

    epochs: NonNegativeInt = 20
    end: Share = 0.05
    warm_up: NonNegativeInt = 0

    def __call__(self, progress: Progress, /) -> float:
        if progress.step < self.warm_up:
            return (progress.step + 1) / self.warm_up
        epochs = self.epochs or progress.n_epochs
        return self._value_at(min(1.0, progress.step / (epochs * progress.n_steps)))

    @abstractmethod
    def _value_at(self, share: float) -> float:
        """Return the weight after a share of the decay: 1 at 0 and `end` at 1."""
