"""The information of each latent dimension about the user."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from nearfar.vae.posterior import DiagonalGaussian


class Information(nn.Module):
    """An upper bound of I(x; z_d) in nats for every latent dimension d, over many users.

    (1/2) (log (E sigma_d^2 + Var mu_d) - E log sigma_d^2): the entropy of a Gaussian with the
    moments of the aggregated posterior, minus the mean entropy of the users' posteriors. It is
    zero if all posteriors are the same (a collapsed dimension), for any prior.

    Source: Eq. 5-7, E KL = I(X; Z) + KL(qbar || p), with qbar replaced by a Gaussian.
    """

    sums: Float64[Tensor, "moments latent"]

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        self.register_buffer("sums", torch.zeros(4, n_latent, dtype=torch.float64))
        self.n_users = 0

    @torch.no_grad()
    def add(self, q: DiagonalGaussian) -> None:
        """Add the posteriors of more users."""
        self.add_sums(moments_of(q), len(q.mu))

    def add_sums(self, sums: Float64[Tensor, "moments latent"], n_users: int) -> None:
        """Add more users, given the sums of their moments; see `moments_of`."""
        self.sums += sums
        self.n_users += n_users

    def nats(self) -> Float64[Tensor, " latent"]:
        """Return the bound over all users so far."""
        mean, square, variance, logvar = self.sums / max(1, self.n_users)
        total = (variance + square - mean.square()).clamp(min=1e-300)
        return (0.5 * (total.log() - logvar)).clamp(min=0)

    def clear(self) -> None:
        """Remove all users."""
        self.sums.zero_()
        self.n_users = 0


@torch.no_grad()
def moments_of(q: DiagonalGaussian) -> Float64[Tensor, "moments latent"]:
    """Return the sums over users of mu, mu^2, sigma^2 and log sigma^2, per dimension."""
    moments = (q.mu, q.mu.square(), q.variance, q.logvar)
    return torch.stack([m.sum(0) for m in moments]).double()
