"""A weight in proportion to the length of a user's history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nearfar.core.ranges import NonNegativeFloat
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class PerInteraction(Weight):
    """The weight gamma |x_u| of each user: the KL weight of RecVAE.

    Notation: `gamma`; |x_u|, interactions of user u, uncorrupted.
    Source: Shenbin et al., RecVAE, 2020, and its published code; .005 on MovieLens-20M.

    Args:
        gamma: weight per interaction of the user.

    Examples:
        >>> nf.MultVAE(beta=nf.schedules.PerInteraction(gamma=0.01)).beta.gamma
        0.01
    """

    by_interactions: ClassVar[bool] = True

    gamma: NonNegativeFloat = 0.005

    def __call__(self, progress: Progress, /) -> float:
        return self.gamma
