"""From a latent to a logit for every item: f(z)."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.kernels.background import Background
from nearfar.kernels.gradients import ParameterTable
from nearfar.kernels.memory import Workspace, empty
from nearfar.kernels.products import affine_into, linear
from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import block_width, linear_multinomial_nll
from nearfar.vae.layers import Units, hidden_layer, passable, small_bias_, xavier_


class OutputLayer(nn.Module):
    """Scores f = W h + b; `weight` is stored items first, so that a row is an item.

    Attributes:
        workspace: what its likelihood computes in; no part of the layer's state.
    """

    def __init__(self, n_hidden: int, n_items: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = ParameterTable(empty((n_items, n_hidden)))
        self.bias = nn.Parameter(torch.empty(n_items))
        self.workspace = Workspace()
        xavier_(self.weight, rng)
        small_bias_(self.bias, rng)

    def forward(self, hidden: Float[Tensor, "users hidden"]) -> Float[Tensor, "users items"]:
        return linear(hidden, self.weight, self.bias, once=self.training)

    def scores(
        self,
        hidden: Float[Tensor, "users hidden"],
        out: Float[Tensor, "users items"],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> None:
        """`forward` into memory that is there, without gradients.

        By blocks of items on a CPU, whose products are a quarter faster than one wide one.
        `weight` and `bias` are the layer's own unless given, as in another precision.
        """
        weight = self.weight.detach() if weight is None else weight
        bias = self.bias.detach() if bias is None else bias
        width = block_width(len(hidden), len(weight), out.dtype, out.device)
        for start in range(0, len(weight), width):
            block = slice(start, start + width)
            affine_into(out[:, block], hidden, weight[block], bias[block])

    def multinomial_nll(
        self,
        hidden: Float[Tensor, "users hidden"],
        rows: Rows,
        background: Background | None = None,
    ) -> Float[Tensor, " users"]:
        """Compute the multinomial negative log-likelihood of `rows`, without a dense target."""
        return linear_multinomial_nll(
            hidden, self.weight, self.bias, rows, self.workspace, background=background
        )


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
