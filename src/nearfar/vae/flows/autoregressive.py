"""One step of an inverse autoregressive flow."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.initialise import linear

OPEN = 2.0
"""Bias of the gates at the start: steps begin near the identity."""


class AutoregressiveStep(nn.Module):
    """z'_d = s_d z_d + (1 - s_d) m_d, with s and m functions of z_1 .. z_(d-1) and a context.

    The Jacobian is triangular, so that log |det| = sum_d log s_d.

    Notation: s = sigmoid(gate), m = shift; masks let output d see only latents before d.
    Source: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow, 2016,
    Algorithm 1; masks as in Germain et al., MADE, 2015. Eq. 11-13 of the paper.

    Args:
        n_latent: latent dimensions K.
        n_hidden: hidden units.
        n_context: width of the context.
        rng: what the weights are drawn from.
    """

    inner: Float[Tensor, "hidden latent"]
    outer: Float[Tensor, "outputs hidden"]

    def __init__(self, n_latent: int, n_hidden: int, n_context: int, rng: torch.Generator) -> None:
        super().__init__()
        self.of_latent = linear(n_latent, n_hidden, rng)
        self.of_context = linear(n_context, n_hidden, rng)
        self.out = linear(n_hidden, 2 * n_latent, rng)
        with torch.no_grad():
            self.out.bias[n_latent:] = OPEN
        # a hidden unit of degree d sees the first d latents; an output sees units of lower degree;
        # those of degree 0 bring the context to the first latent
        degrees = torch.arange(n_hidden) % n_latent
        places = torch.arange(1, n_latent + 1)
        inner = (degrees[:, None] >= places[None, :]).float()
        outer = (places[:, None] > degrees[None, :]).float().repeat(2, 1)
        self.register_buffer("inner", inner, persistent=False)
        self.register_buffer("outer", outer, persistent=False)

    def forward(
        self, z: Float[Tensor, "users latent"], context: Float[Tensor, "users features"]
    ) -> tuple[Float[Tensor, "users latent"], Float[Tensor, " users"]]:
        """z' and log |det dz'/dz| in nats per user."""
        h = nn.functional.linear(z, self.of_latent.weight * self.inner, self.of_latent.bias)
        h = torch.tanh(h + self.of_context(context))
        out = nn.functional.linear(h, self.out.weight * self.outer, self.out.bias)
        shift, gate = out.chunk(2, dim=1)
        s = torch.sigmoid(gate)
        return s * z + (1 - s) * shift, nn.functional.logsigmoid(gate).sum(1)
