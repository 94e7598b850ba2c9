"""The two-level prior of H+Vamp."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import PositiveInt
from nearfar.vae.encoders.hierarchical import bounded_gaussian
from nearfar.vae.layers import Units, hidden_layer, linear
from nearfar.vae.posterior import log_normal
from nearfar.vae.priors.prior import Prior, PriorNetwork
from nearfar.vae.priors.vamp import Vamp, VampNetwork
from nearfar.vae.step import Step


@dataclass(frozen=True)
class HierarchicalVamp(Prior):
    """Two levels p(z1, z2) = p(z1|z2) p(z2): a VampPrior of z2 and a learned Gaussian of z1.

    It is for the hierarchical encoder, whose latent is (z1, z2).

    Source: Tomczak and Welling 2018, section 4; Kim and Suh 2019.

    Args:
        upper: p(z2).
        hidden: units per hidden layer of p(z1|z2), which has two.
        units: "gated" or "tanh".

    Examples:
        >>> nf.priors.HierarchicalVamp(upper=nf.priors.Vamp(pseudo_inputs=50)).upper.pseudo_inputs
        50
    """

    upper: Vamp = field(default_factory=Vamp)
    hidden: PositiveInt = 600
    units: Units = "gated"

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        if n_latent % 2:
            raise SettingsError(
                f"n_latent is {n_latent}; a prior of two levels needs an even number"
            )
        return _HierarchicalPriorNetwork(self, n_items, n_latent // 2, rng)


class _HierarchicalPriorNetwork(PriorNetwork):
    def __init__(
        self, settings: HierarchicalVamp, n_items: int, n_level: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.upper = VampNetwork(settings.upper, n_items, rng)
        self.first = hidden_layer(settings.units, n_level, settings.hidden, rng)
        self.second = hidden_layer(settings.units, settings.hidden, settings.hidden, rng)
        self.head = linear(settings.hidden, 2 * n_level, rng)

    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        z1, z2 = step.z.chunk(2, dim=1)
        upper = self.upper.log_mixture(step.encoder, z2)
        lower = bounded_gaussian(self.head(self.second(self.first(z2))))
        return log_normal(z1, lower.mu, lower.logvar).sum(1) + upper
