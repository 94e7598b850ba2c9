"""A constant weight."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class ConstantWeight(Weight):
    """The weight is the same at every step.

    Args:
        value: the weight.

    Examples:
        >>> nf.schedules.ConstantWeight(0.5)(nf.schedules.Progress(step=10))
        0.5
    """

    value: float = 1.0

    def __call__(self, progress: Progress, /) -> float:
        return self.value
