"""A weight that grows to its full value again and again."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Cyclic(Weight):
    """From 0 to `end` over the first `rising` of every cycle, and `end` for the rest of it.

    Source: Fu et al., Cyclical Annealing Schedule, 2019.

    Args:
        end: the full value.
        epochs: length of a cycle.
        rising: share of a cycle in which the weight grows.
    """

    end: float = 0.2
    epochs: int = 10
    rising: float = 0.5

    def __post_init__(self) -> None:
        if self.end < 0 or self.epochs < 1 or not 0 < self.rising <= 1:
            raise SettingsError(
                f"end {self.end}, epochs {self.epochs}, rising {self.rising}: end must not be "
                "negative, epochs at least 1, rising above 0 and at most 1"
            )

    def __call__(self, progress: Progress, /) -> float:
        length = self.epochs * progress.n_steps
        share = progress.step % length / length
        return self.end * min(1.0, share / self.rising)
