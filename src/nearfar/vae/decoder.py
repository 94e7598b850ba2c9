"""From a latent to a logit for every item: f(z)."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.initialise import linear, pass_through, weight_of
from nearfar.vae.output import OutputLayer


class Decoder(nn.Module):
    """A multi-layer perceptron, tanh between the layers; (600,) gives the published 200-600-I."""

    def __init__(
        self, n_latent: int, hidden: tuple[int, ...], n_items: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        sizes = (n_latent, *hidden)
        self.hidden = nn.ModuleList(linear(n, m, rng) for n, m in pairwise(sizes))
        self.out = OutputLayer(sizes[-1], n_items, rng)

    @property
    def n_passed(self) -> int:
        """How many latent dimensions can be passed on to the last layer."""
        sizes = [weight_of(layer).shape[1] for layer in self.hidden]
        return min([*sizes, self.out.weight.shape[1]])

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        """Set weights so that the first k latents add about themselves times `directions`."""
        k = directions.shape[1]
        for layer in self.hidden:
            pass_through(layer, k)
        self.out.weight[:, :k] = directions

    def body(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users hidden"]:
        """All but the last layer."""
        h = z
        for layer in self.hidden:
            h = torch.tanh(layer(h))
        return h

    def forward(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        return self.out(self.body(z))
