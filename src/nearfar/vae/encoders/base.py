"""The base encoder: a multi-layer perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.errors import SettingsError
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork, SparseLinear
from nearfar.vae.initialise import linear, pass_through, weight_of
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.sparse import WeightedRows


@dataclass(frozen=True)
class Base(Encoder):
    """I-600-(200, 200): tanh hidden layers, then one linear layer to mu and logvar.

    Source: Liang et al. 2018; "base" ("shallow") in the paper's Table 6.
    """

    hidden: tuple[int, ...] = (600,)

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise SettingsError(
                f"hidden is {list(self.hidden)}; it needs one or more sizes above 0"
            )

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        return _BaseNetwork(n_items, self.hidden, n_latent, rng)


class _BaseNetwork(EncoderNetwork):
    def __init__(
        self, n_items: int, hidden: tuple[int, ...], n_latent: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        self.first = SparseLinear(n_items, hidden[0], rng)
        self.middle = nn.ModuleList(linear(n, m, rng) for n, m in pairwise(hidden))
        self.head = linear(hidden[-1], 2 * n_latent, rng)

    @property
    def n_passed(self) -> int:
        widths = [len(weight_of(layer)) for layer in self.middle]
        return min([self.first.weight.shape[1], *widths, self.head.out_features // 2])

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        self.first.weight[:, : directions.shape[1]] = directions
        for layer in (*self.middle, self.head):
            pass_through(layer, directions.shape[1])

    def set_log_variance(self, value: float) -> None:
        self.head.bias[self.head.out_features // 2 :] = value

    def forward(self, history: WeightedRows) -> DiagonalGaussian:
        h = torch.tanh(self.first(history))
        for layer in self.middle:
            h = torch.tanh(layer(h))
        mu, logvar = self.head(h).chunk(2, dim=1)
        return DiagonalGaussian(mu, logvar)
