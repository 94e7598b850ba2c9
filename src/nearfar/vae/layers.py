"""Layers and their initial weights; one class per kind of hidden unit, all named by `Units`."""

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
    """A linear layer with weights by `xavier_` and biases by `small_bias_`."""
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


class Tanh(Linear):
    """tanh(W x + b)."""

    def forward(self, input: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
        return torch.tanh(super().forward(input))

    def pass_on(self, k: int) -> None:
        """Let the first k units be the first k inputs (where tanh is about linear), in place."""
        pass_through(self, k)


class Gated(Linear):
    """(W x + b) * sigmoid(V x + c): the gated linear unit.

    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks, 2017; in
    recommenders Kim and Suh, Enhancing VAEs for Collaborative Filtering, 2019.
    """

    def forward(self, input: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
        return gate(super().forward(input))


def gate(x: Float[Tensor, "users twice"]) -> Float[Tensor, "users outputs"]:
    """The first half of the columns times the sigmoid of the second."""
    return nn.functional.glu(x, dim=1)


def activate(units: Units, x: Float[Tensor, "users inputs"]) -> Float[Tensor, "users outputs"]:
    """What the units make of their weighted sums; `widened` tells how many sums they need."""
    return torch.tanh(x) if units == "tanh" else gate(x)


def widened(units: Units, n_out: int) -> int:
    """How many weighted sums `n_out` units need."""
    return n_out if units == "tanh" else 2 * n_out


def passable(layers: nn.ModuleList) -> list[Tanh] | None:
    """The layers, if all of them can pass on what they are given; else None."""
    found = [layer for layer in layers if isinstance(layer, Tanh)]
    return found if len(found) == len(layers) else None


def hidden_layer(units: Units, n_in: int, n_out: int, rng: torch.Generator) -> Tanh | Gated:
    """A layer of these units with fresh weights."""
    kind = Tanh if units == "tanh" else Gated
    layer = nn.utils.skip_init(kind, n_in, widened(units, n_out))  # no global generator
    assert isinstance(layer, Tanh | Gated)
    xavier_(layer.weight, rng)
    small_bias_(layer.bias, rng)
    return layer
