"""The base encoder: a multi-layer perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import MinLen
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.ranges import LayerSizes
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork
from nearfar.vae.layers import Units, activate, hidden_layer, pass_through, passable, widened


@dataclass(frozen=True)
class Base(Encoder):
    """A multi-layer perceptron, I-600-(200, 200), with a linear layer to mu and logvar.

    Source: Liang et al. 2018; "base" ("shallow") in the paper's Table 6.

    Args:
        hidden: sizes of the hidden layers.
        units: "tanh" as published, or "gated".

    Examples:
        >>> nf.MultVAE(encoder=nf.encoders.Base(hidden=(300,), units="gated")).encoder
        Base(hidden=(300,), units='gated')
    """

    hidden: Annotated[LayerSizes, MinLen(1)] = (600,)
    units: Units = "tanh"

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        return BaseNetwork(n_items, self.hidden, self.units, n_latent, rng)


class BaseNetwork(EncoderNetwork):
    """The network of `Base`: the sparse first layer, other hidden layers `middle` and the head."""

    def __init__(
        self,
        n_items: int,
        hidden: tuple[int, ...],
        units: Units,
        n_latent: int,
        rng: torch.Generator,
    ) -> None:
        super().__init__(n_items, widened(units, hidden[0]), hidden[-1], n_latent, rng)
        self.units: Units = units
        self.middle = nn.ModuleList(hidden_layer(units, n, m, rng) for n, m in pairwise(hidden))

    def features(self, sums: Float[Tensor, "users first"]) -> Float[Tensor, "users features"]:
        h = activate(self.units, sums)
        for layer in self.middle:
            h = layer(h)
        return h

    @property
    def n_passed(self) -> int:
        layers = passable(self.middle)
        if layers is None or self.units != "tanh":
            return 0
        widths = [layer.out_features for layer in layers]
        return min([self.first.weight.shape[1], *widths, self.head.out_features // 2])

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        k = directions.shape[1]
        self.first.weight[:, :k] = directions
        for layer in passable(self.middle) or ():
            layer.pass_on(k)
        pass_through(self.head, k)
