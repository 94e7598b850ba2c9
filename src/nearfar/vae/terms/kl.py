"""The objective term KL of Eq. 1."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.priors.prior import PriorNetwork
from nearfar.vae.step import Step


@dataclass(frozen=True)
class KL:
    """The term KL(q(z|x~) || p(z)), in nats per user (Eq. 1)."""

    prior: PriorNetwork

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        return self.prior.kl(step)
