"""A weight that grows from nothing to its full value."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class LinearAnneal(Weight):
    """min(end, end * step / steps): the KL annealing of Mult-VAE (Liang et al. 2018).

    Differs: the published settings are end .2 over 200,000 steps, which 200 epochs of
    MovieLens-20M never reach (beta ends near .047). The default of 1,000 steps was good on
    validation users of MovieLens-1M and 100K, where an epoch has few steps.
    """

    end: float = 0.2
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.end < 0 or self.steps < 0:
            raise SettingsError(f"end {self.end} and steps {self.steps} must not be negative")

    def __call__(self, progress: Progress, /) -> float:
        return self.end * min(1.0, progress.step / self.steps) if self.steps else self.end
