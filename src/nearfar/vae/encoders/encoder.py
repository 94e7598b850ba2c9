"""The interface of an encoder, and the sparse first layer that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.gradients import Table
from nearfar.vae.initialise import small_bias_, xavier_
from nearfar.vae.memory import empty
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.sparse import WeightedRows


class EncoderNetwork(nn.Module, ABC):
    """A network from weighted rows to posteriors."""

    @abstractmethod
    def forward(self, history: WeightedRows) -> DiagonalGaussian: ...

    @property
    @abstractmethod
    def n_passed(self) -> int:
        """How many directions of the items can be passed on to the posterior's mean."""

    @abstractmethod
    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        """Set weights so that the mean's first k dimensions are about x~ times `directions`."""

    @abstractmethod
    def set_log_variance(self, value: float) -> None:
        """Set biases so that the log variance starts about `value`."""


class Encoder(ABC):
    """The settings of an encoder."""

    @abstractmethod
    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        """A network with fresh weights, drawn from `rng`."""


class SparseLinear(Table):
    """A linear layer on sparse rows; its weight is stored items first, so that a row is an item."""

    tables = ("weight",)

    def __init__(self, n_items: int, n_out: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(empty((n_items, n_out)))
        self.bias = nn.Parameter(torch.empty(n_out))
        xavier_(self.weight, rng)
        small_bias_(self.bias, rng)

    def forward(self, history: WeightedRows) -> Float[Tensor, "users hidden"]:
        return history.product(self.weight) + self.bias
