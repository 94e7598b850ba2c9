"""The VampPrior: a mixture of the encoder's posteriors of learned pseudo-inputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.kernels.memory import empty
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.mixture import log_mixture
from nearfar.vae.priors.prior import Density, Prior, PriorNetwork
from nearfar.vae.step import Step


@dataclass(frozen=True)
class Vamp(Prior):
    """The VampPrior p(z) = (1/C) sum_c q(z|u_c), u_c learned histories with entries from 0 to 1.

    It is for encoders whose q(z|x~) is a plain Gaussian. With a flow the components are its
    q(z_0|u_c).

    Source: Tomczak and Welling, VAE with a VampPrior, 2018; in recommenders Kim and Suh 2019,
    whose code also clips the entries of a table to [0, 1] and passes them to the encoder without
    normalising them.
    Differs: that code applies dropout to the pseudo-inputs as well; here they are not corrupted.

    Args:
        pseudo_inputs: C; number of pseudo-inputs.
        mean: mean of their entries at the start.
        std: standard deviation of their entries at the start.

    Examples:
        >>> nf.MultVAE(prior=nf.priors.Vamp(pseudo_inputs=200)).prior.pseudo_inputs
        200
    """

    pseudo_inputs: PositiveInt = 1000
    mean: float = 0.05
    std: NonNegativeFloat = 0.01

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        return VampNetwork(self, n_items, rng)


class VampNetwork(PriorNetwork):
    """The pseudo-inputs, and the mixture of their posteriors."""

    def __init__(self, settings: Vamp, n_items: int, rng: torch.Generator) -> None:
        super().__init__()
        self.inputs = nn.Parameter(empty((settings.pseudo_inputs, n_items)))
        nn.init.normal_(self.inputs, settings.mean, settings.std, generator=rng)

    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        return self.log_mixture(step.encoder, step.z)

    def density(self, step: Step) -> Density:
        components = step.encoder.of_dense(self.inputs.clamp(0, 1))
        return lambda z: self._mixture(components, z)

    def log_mixture(
        self, encoder: EncoderNetwork, z: Float[Tensor, "users latent"]
    ) -> Float[Tensor, " users"]:
        """Return log p(z) in nats."""
        return self._mixture(encoder.of_dense(self.inputs.clamp(0, 1)), z)

    def _mixture(
        self, components: DiagonalGaussian, z: Float[Tensor, "users latent"]
    ) -> Float[Tensor, " users"]:
        if components.mu.shape[1] != z.shape[1]:
            raise SettingsError(
                f"the encoder's q(z|u) has {components.mu.shape[1]} dimensions where the prior "
                f"needs {z.shape[1]}; use a hierarchical prior with a hierarchical encoder, and a "
                "plain prior with any other"
            )
        equal = torch.full_like(components.mu[:, 0], -math.log(len(self.inputs)))
        return log_mixture(z, components.mu.to(z), components.logvar.to(z), equal.to(z))
