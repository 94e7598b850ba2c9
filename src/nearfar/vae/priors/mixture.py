"""The prior that is a mixture of Gaussians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.vae.posterior import LOG_2_PI
from nearfar.vae.priors.prior import Density, Prior, PriorNetwork
from nearfar.vae.step import Step


@dataclass(frozen=True)
class Mixture(Prior):
    """The mixture p(z) = sum_k w_k N(m_k, diag s_k^2), whose parameters are all learned.

    The KL is estimated from the step's sample of z.

    Source: the mixture-of-Gaussians prior that Tomczak and Welling 2018 compare the VampPrior
    with.
    Differs: there weights are equal; here they are learned, equal at the start.

    Args:
        components: number of Gaussians.
        spread: standard deviation of their means at the start; variances start at 1.

    Examples:
        >>> nf.MultVAE(prior=nf.priors.Mixture(components=5)).prior.components
        5
    """

    components: PositiveInt = 10
    spread: NonNegativeFloat = 0.1

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        return MixtureNetwork(self.components, n_latent, self.spread, rng)


class MixtureNetwork(PriorNetwork):
    """The parameters of the components: `mu` and `logvar` (components x latent) and `score`.

    The weights of the components are softmax(`score`).
    """

    def __init__(self, components: int, n_latent: int, spread: float, rng: torch.Generator) -> None:
        super().__init__()
        self.mu = nn.Parameter(torch.empty(components, n_latent))
        nn.init.normal_(self.mu, std=spread, generator=rng)
        self.logvar = nn.Parameter(torch.zeros(components, n_latent))
        self.score = nn.Parameter(torch.zeros(components))

    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        return self.density(step)(step.z)

    def density(self, step: Step) -> Density:
        log_weights = torch.log_softmax(self.score, 0)
        return lambda z: log_mixture(z, self.mu.to(z), self.logvar.to(z), log_weights.to(z))


def log_mixture(
    z: Float[Tensor, "users latent"],
    mu: Float[Tensor, "components latent"],
    logvar: Float[Tensor, "components latent"],
    log_weights: Float[Tensor, " components"],
) -> Float[Tensor, " users"]:
    """Return log sum_k w_k N(z; m_k, diag s_k^2) in nats, without a users x K x latent array."""
    precision = torch.exp(-logvar)
    squares = (
        z.square() @ precision.T - 2 * z @ (mu * precision).T + (mu.square() * precision).sum(1)
    )
    constants = (logvar.sum(1) + mu.shape[1] * LOG_2_PI) / 2
    return torch.logsumexp(log_weights - constants - squares / 2, 1)
