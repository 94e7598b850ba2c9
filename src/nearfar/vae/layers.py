"""Layers and their initial weights; one class per kind of hidden unit in `Units`."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.kernels.products import Linear

BIAS_STD = 0.001

Units = Literal["tanh", "gated"]
"""tanh(W x + b), or (W x + b) times sigmoid(V x + c)."""


def xavier_(weight: Tensor, rng: torch.Generator) -> None:
    """Fill with Glorot's uniform distribution, whose bound is the same for the transpose."""
    nn.init.xavier_uniform_(weight, generator=rng)


def small_bias_(bias: Tensor, rng: torch.Generator) -> None:
    """Fill with a normal of standard deviation .001, truncated at two standard deviations."""
    nn.init.trunc_normal_(bias, std=BIAS_STD, a=-2 * BIAS_STD, b=2 * BIAS_STD, generator=rng)


def pass_through(layer: nn.Linear, k: int) -> None:
    """Set weights so that a linear layer's first k outputs are its first k inputs plus biases."""
    layer.weight[:k] = 0
    layer.weight[:k, :k].fill_diagonal_(1)


def linear(n_in: int, n_out: int, rng: torch.Generator) -> nn.Linear:
    """Return a linear layer with weights from `xavier_` and biases from `small_bias_`."""
    layer = nn.utils.skip_init(Linear, n_in, n_out)  # does not use the global generator
    assert isinstance(layer, Linear)
    xavier_(layer.weight, rng)
    small_bias_(layer.bias, rng)
    return layer


def uniform_linear(n_in: int, n_out: int, rng: torch.Generator) -> nn.Linear:
    """Return a linear layer initialised like PyTorch's: uniform within 1 / sqrt(inputs)."""
    layer = linear(n_in, n_out, rng)
    for parameter in (layer.weight, layer.bias):
        nn.init.uniform_(parameter, -(n_in**-0.5), n_in**-0.5, generator=rng)
    return layer


class Tanh(Linear):
    """A layer that computes tanh(W x + b)."""

    def forward(self, input: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
        return torch.tanh(super().forward(input))

    def pass_on(self, k: int) -> None:
        """Set weights so that the first k outputs are about tanh of the first k inputs."""
        pass_through(self, k)


class Gated(Linear):
    """A layer of gated linear units, (W x + b) * sigmoid(V x + c).

    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017; in
    recommenders Kim and Suh, Enhancing VAEs for Collaborative Filtering, 2019.
    """

    def forward(self, input: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
        return gate(super().forward(input))


def gate(x: Float[Tensor, "users twice"]) -> Float[Tensor, "users outputs"]:
    """Return the first half of the columns times the sigmoid of the second half."""
    return nn.functional.glu(x, dim=1)


def activate(units: Units, x: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
    """Apply the units to their weighted sums, of which there are `widened(units, n_out)`."""
    return torch.tanh(x) if units == "tanh" else gate(x)


def widened(units: Units, n_out: int) -> int:
    """Return how many weighted sums `n_out` units need."""
    return n_out if units == "tanh" else 2 * n_out


def passable(layers: nn.ModuleList) -> list[Tanh] | None:
    """Return the layers if all of them can pass on their inputs (see `Tanh.pass_on`), else None."""
    tanh_layers = [layer for layer in layers if isinstance(layer, Tanh)]
    return tanh_layers if len(tanh_layers) == len(layers) else None


def hidden_layer(units: Units, n_in: int, n_out: int, rng: torch.Generator) -> Tanh | Gated:
    """Return a layer of these units with fresh weights."""
    layer_class = Tanh if units == "tanh" else Gated
    # `skip_init` does not use the global generator.
    layer = nn.utils.skip_init(layer_class, n_in, widened(units, n_out))
    assert isinstance(layer, Tanh | Gated)
    xavier_(layer.weight, rng)
    small_bias_(layer.bias, rng)
    return layer
