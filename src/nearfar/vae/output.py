"""The decoder's last layer: the one place where users x items is dense."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.gradients import Table
from nearfar.vae.initialise import small_bias_, xavier_
from nearfar.vae.rows import Rows
from nearfar.vae.softmax import Workspace, linear_multinomial_nll


class OutputLayer(Table):
    """Scores f = W h + b; `weight` is stored items first, so that a row is an item.

    Attributes:
        workspace: what its likelihood computes in; no part of the layer's state.
    """

    tables = ("weight",)

    def __init__(self, n_hidden: int, n_items: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_items, n_hidden))
        self.bias = nn.Parameter(torch.empty(n_items))
        self.workspace = Workspace()
        xavier_(self.weight, rng)
        small_bias_(self.bias, rng)

    def forward(self, hidden: Float[Tensor, "users hidden"]) -> Float[Tensor, "users items"]:
        return nn.functional.linear(hidden, self.weight, self.bias)

    def multinomial_nll(
        self, hidden: Float[Tensor, "users hidden"], rows: Rows
    ) -> Float[Tensor, " users"]:
        """The multinomial negative log-likelihood of `rows`, without a dense target."""
        return linear_multinomial_nll(hidden, self.weight, self.bias, rows, self.workspace)
