"""The term by which a network learns to please the critic."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.terms.critic import Critic
from nearfar.vae.terms.reconstruction import reconstruction
from nearfar.vae.terms.term import Step


@dataclass(frozen=True)
class CriticValue:
    """Minus the NDCG@100 that the critic expects, with the gradient that -log p(x|z) passes on.

    Source: Lobel et al., RaCT, 2020, section 3.2, the actor's update.
    """

    critic: Critic

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        return -self.critic.value(step, reconstruction(step))
