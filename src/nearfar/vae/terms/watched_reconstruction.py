"""The reconstruction term under the eyes of the critic."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.terms.critic import Critic
from nearfar.vae.terms.reconstruction import reconstruction
from nearfar.vae.terms.term import Step


@dataclass(frozen=True)
class WatchedReconstruction:
    """-log p(x|z); the critic gathers the moments of its features by the way."""

    critic: Critic

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        nll = reconstruction(step)
        self.critic.gather(step, nll)
        return nll
