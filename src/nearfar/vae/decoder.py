"""From a latent to a logit for every item: f(z)."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.layers import Units, hidden_layer, passable
from nearfar.vae.output import OutputLayer


class Decoder(nn.Module):
    """A multi-layer perceptron; (600,) gives the published 200-600-I, () one linear layer."""

    def __init__(
        self,
        n_latent: int,
        hidden: tuple[int, ...],
        n_items: int,
        rng: torch.Generator,
        units: Units = "tanh",
    ) -> None:
        super().__init__()
        sizes = (n_latent, *hidden)
        self.hidden = nn.ModuleList(hidden_layer(units, n, m, rng) for n, m in pairwise(sizes))
        self.out = OutputLayer(sizes[-1], n_items, rng)

    @property
    def n_passed(self) -> int:
        """How many latent dimensions can be passed on to the last layer."""
        layers = passable(self.hidden)
        if layers is None:
            return 0
        return min([*(layer.in_features for layer in layers), self.out.weight.shape[1]])

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        """Set weights so that the first k latents add about themselves times `directions`."""
        k = directions.shape[1]
        for layer in passable(self.hidden) or ():
            layer.pass_on(k)
        self.out.weight[:, :k] = directions

    def body(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users hidden"]:
        """All but the last layer."""
        for layer in self.hidden:
            z = layer(z)
        return z

    def forward(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        return self.out(self.body(z))
