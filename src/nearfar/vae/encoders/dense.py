"""The densely connected encoder of RecVAE."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.ranges import LayerSize, PositiveInt
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork
from nearfar.vae.layers import uniform_linear

EPS = 0.1
"""LayerNorm's eps in the published code."""


@dataclass(frozen=True)
class Dense(Encoder):
    """Layers h_k = LayerNorm(swish(W h_(k-1) + sum of all earlier h)) and a linear head.

    Source: Shenbin et al., RecVAE, 2020, and its published code, whose layers are initialised like
    PyTorch's (uniform within 1 / sqrt(inputs)).

    Args:
        width: units per layer.
        layers: number of layers.

    Examples:
        >>> nf.RecVAE(encoder=nf.encoders.Dense(width=100, layers=3)).encoder
        Dense(width=100, layers=3)
    """

    width: LayerSize = 600
    layers: PositiveInt = 5

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        return _DenseNetwork(n_items, self.width, self.layers, n_latent, rng)


class _DenseNetwork(EncoderNetwork):
    def __init__(
        self, n_items: int, width: int, layers: int, n_latent: int, rng: torch.Generator
    ) -> None:
        super().__init__(n_items, width, width, n_latent, rng)
        self.middle = nn.ModuleList(uniform_linear(width, width, rng) for _ in range(layers - 1))
        self.norms = nn.ModuleList(nn.LayerNorm(width, eps=EPS) for _ in range(layers))
        self.head = uniform_linear(width, 2 * n_latent, rng)
        bound = n_items**-0.5
        for parameter in (self.first.weight, self.first.bias):
            nn.init.uniform_(parameter, -bound, bound, generator=rng)

    def features(self, sums: Float[Tensor, "users first"]) -> Float[Tensor, "users features"]:
        h = self.norms[0](nn.functional.silu(sums))
        earlier = h
        for layer, norm in zip(self.middle, self.norms[1:], strict=True):
            h = norm(nn.functional.silu(layer(h) + earlier))
            earlier = earlier + h
        return h
