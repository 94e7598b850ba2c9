"""The standard normal prior."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.prior import Prior


@dataclass(frozen=True)
class Normal(Prior):
    """p(z) = N(0, I), with the KL divergence in closed form."""

    def kl_per_dimension(
        self, posterior: DiagonalGaussian, z: Float[Tensor, "users latent"]
    ) -> Float[Tensor, "users latent"]:
        return 0.5 * (posterior.variance + posterior.mu.square() - 1 - posterior.logvar)
