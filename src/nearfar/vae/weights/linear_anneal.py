"""A weight that grows from nothing to its full value."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class LinearAnneal(Weight):
    """min(end, end * step / steps): the KL annealing of Mult-VAE (Liang et al. 2018).

    The published settings, end .2 over 200,000 steps, never reach .2 within 200 epochs of
    MovieLens-20M: beta ends near .047.
    """

    end: float = 0.2
    steps: int = 20_000

    def __post_init__(self) -> None:
        if self.end < 0 or self.steps < 0:
            raise SettingsError(f"end {self.end} and steps {self.steps} must not be negative")

    def __call__(self, progress: Progress, /) -> float:
        return self.end * min(1.0, progress.step / self.steps) if self.steps else self.end
