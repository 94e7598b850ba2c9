"""The standard normal prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.vae.posterior import log_normal
from nearfar.vae.priors.prior import Prior, PriorNetwork
from nearfar.vae.step import Step


@dataclass(frozen=True)
class Normal(Prior):
    """p(z) = N(0, I), with the KL divergence in closed form where no flow follows.

    Examples:
        >>> nf.MultVAE(prior=nf.priors.Normal()).prior
        Normal()
    """

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        return NormalNetwork()


class NormalNetwork(PriorNetwork):
    """N(0, I), without parameters."""

    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        zero = torch.zeros_like(step.z[:1])
        return log_normal(step.z, zero, zero).sum(1)

    def kl(self, step: Step) -> Float[Tensor, " users"]:
        if step.draw.log_det is not None:
            return super().kl(step)
        q = step.posterior
        return 0.5 * (q.variance + q.mu.square() - 1 - q.logvar).sum(1)
