"""A weight that grows linearly from 0 to its full value."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class LinearAnneal(Weight):
    """Grows as min(end, end * step / steps): the KL annealing of Mult-VAE (Liang et al. 2018).

    Differs: the published min(.2, step / 200,000) is an `end` of .2 after 40,000 steps. The default
    of 1,000 steps was good on validation users of MovieLens-1M and 100K, where an epoch has few
    steps.

    Args:
        end: the full value.
        steps: steps until the full value.
        epochs: epochs until the full value, instead of `steps`, if above 0 (published for H+Vamp).

    Examples:
        >>> nf.schedules.LinearAnneal(end=0.2, steps=100)(nf.schedules.Progress(step=50))
        0.1
        >>> nf.MultVAE(beta=nf.schedules.LinearAnneal(end=0.3)).beta.end
        0.3
    """

    end: NonNegativeFloat = 0.2
    steps: NonNegativeInt = 1000
    epochs: NonNegativeInt = 0

    def __call__(self, progress: Progress, /) -> float:
        steps = self.epochs * progress.n_steps if self.epochs else self.steps
        return self.end * min(1.0, progress.step / steps) if steps else self.end
