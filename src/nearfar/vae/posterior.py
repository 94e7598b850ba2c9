"""The approximate posterior q(z|x~)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class DiagonalGaussian:
    """N(mu, diag exp(logvar)), one a user.

    Notation: `mu`, `logvar` = mu(x~), log sigma(x~)^2 (Eq. 2).
    """

    mu: Float[Tensor, "users latent"]
    logvar: Float[Tensor, "users latent"]

    def sample(self, noise: Float[Tensor, "users latent"]) -> Float[Tensor, "users latent"]:
        """z = mu + sigma * noise (Eq. 2); the noise is standard normal, not scaled down."""
        return self.mu + torch.exp(0.5 * self.logvar) * noise

    @property
    def variance(self) -> Float[Tensor, "users latent"]:
        return torch.exp(self.logvar)
