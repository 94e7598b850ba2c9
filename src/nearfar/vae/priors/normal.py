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
    """The prior p(z) = N(0, I); without a flow the KL divergence is in closed form.

    Examples:
        >>> nf.MultVAE(prior=nf.priors.Normal()).prior
        Normal()
    """

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        return NormalNetwork()


class NormalNetwork(PriorNetwork):
    """The density of N(0, I), without parameters."""

    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        zero = torch.zeros_like(step.z[:1])
        return log_normal(step.z, zero, zero).sum(1)

    def kl(self, step: Step) -> Float[Tensor, " users"]:
        if step.draw.log_det is not None:
            return super().kl(step)
        q = step.posterior
        return 0.5 * (q.variance + q.mu.square() - 1 - q.logvar).sum(1)
