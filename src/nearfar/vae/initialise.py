"""How weights start: as published for Mult-VAE, and PyTorch's own way."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nearfar.kernels.products import Linear

BIAS_STD = 0.001


def xavier_(weight: Tensor, rng: torch.Generator) -> None:
    """Glorot's uniform distribution, in place (its bound is the same for a transposed matrix)."""
    nn.init.xavier_uniform_(weight, generator=rng)


def small_bias_(bias: Tensor, rng: torch.Generator) -> None:
    """A normal of standard deviation .001, cut at two of them, in place."""
    nn.init.trunc_normal_(bias, std=BIAS_STD, a=-2 * BIAS_STD, b=2 * BIAS_STD, generator=rng)


def pass_through(layer: nn.Linear, k: int) -> None:
    """Let a linear layer's first k units be its first k inputs, in place."""
    layer.weight[:k] = 0
    layer.weight[:k, :k].fill_diagonal_(1)


def linear(n_in: int, n_out: int, rng: torch.Generator) -> nn.Linear:
    """A linear layer so initialised."""
    layer = nn.utils.skip_init(Linear, n_in, n_out)  # leaves the global generator alone
    assert isinstance(layer, Linear)
    xavier_(layer.weight, rng)
    small_bias_(layer.bias, rng)
    return layer


def uniform_linear(n_in: int, n_out: int, rng: torch.Generator) -> nn.Linear:
    """A linear layer as PyTorch starts it: weights and biases uniform within 1 / sqrt(inputs)."""
    layer = linear(n_in, n_out, rng)
    for parameter in (layer.weight, layer.bias):
        nn.init.uniform_(parameter, -(n_in**-0.5), n_in**-0.5, generator=rng)
    return layer
