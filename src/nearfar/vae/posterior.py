"""The approximate posterior q(z|x~) and latents drawn from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LOG_2_PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class DiagonalGaussian:
    """The Gaussian N(mu, diag exp(logvar)) of each user.

    Notation: `mu`, `logvar` = mu(x~), log sigma(x~)^2 (Eq. 2).

    Examples:
        >>> posterior = vae.encode(split.test.fold_in.x)
        >>> posterior.mu.shape, posterior.logvar.shape
        (torch.Size([10, 4]), torch.Size([10, 4]))
    """

    mu: Float[Tensor, "users latent"]
    logvar: Float[Tensor, "users latent"]

    def sample(self, noise: Float[Tensor, "users latent"]) -> Float[Tensor, "users latent"]:
        """Return z = mu + sigma * noise (Eq. 2), where noise is standard normal."""
        return self.mu + torch.exp(0.5 * self.logvar) * noise

    @property
    def variance(self) -> Float[Tensor, "users latent"]:
        return torch.exp(self.logvar)

    def draw(self, noise: Float[Tensor, "users latent"] | None) -> Draw:
        """Return the latent for this noise; None gives the mean."""
        if noise is None:
            return Draw(self, torch.zeros_like(self.mu), self.mu)
        return Draw(self, noise, self.sample(noise))


@dataclass(frozen=True, eq=False)
class Draw:
    """A latent drawn from q(z|x~), with its density.

    Notation: `posterior` = q(z_0|x~); `noise` = eps, z_0 = mu + sigma eps; `z` = z_T, which is
    z_0 without a flow; `log_det` = sum_t log |det dz_t/dz_{t-1}|, None without a flow
    (Eq. 11-13).
    """

    posterior: DiagonalGaussian
    noise: Float[Tensor, "users latent"]
    z: Float[Tensor, "users latent"]
    log_det: Float[Tensor, " users"] | None = None

    @property
    def log_density(self) -> Float[Tensor, " users"]:
        """log q(z|x~) in nats, including the change of volume of a flow."""
        log_density = self.log_densities.sum(1)
        return log_density if self.log_det is None else log_density - self.log_det

    @property
    def log_densities(self) -> Float[Tensor, "users latent"]:
        """log q(z_0|x~) in nats per dimension."""
        return -0.5 * (self.posterior.logvar + self.noise.square() + LOG_2_PI)


def log_normal(
    z: Float[Tensor, "*users latent"],
    mu: Float[Tensor, "*#users latent"],
    logvar: Float[Tensor, "*#users latent"],
) -> Float[Tensor, "*users latent"]:
    """Return log N(z; mu, exp(logvar)) in nats per dimension."""
    return -0.5 * (logvar + (z - mu).square() * torch.exp(-logvar) + LOG_2_PI)
