"""The decoder f(z), which maps latents to a logit for every item."""

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
    """A linear layer with scores f = W h + b, whose `weight` has a row per item.

    Attributes:
        workspace: memory in which the likelihood is computed; not part of the layer's state.
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
        """Write what `forward` returns to `out`, without gradients.

        On a CPU this is done in blocks of items, whose products are a quarter faster than one wide
        product.

        Args:
            hidden: inputs of the layer.
            out: memory for the scores.
            weight: used instead of the layer's weight, for example in another precision.
            bias: used instead of the layer's bias.
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
    """A multi-layer perceptron; `hidden` (600,) is the published 200-600-I, () a linear layer."""

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
        """Number of latent dimensions that can be passed on to the last layer."""
        layers = passable(self.hidden)
        if layers is None:
            return 0
        return min([*(layer.in_features for layer in layers), self.out.weight.shape[1]])

    def pass_on(self, directions: Float[Tensor, "items k"]) -> None:
        """Set weights so that the scores include about the first k latents times `directions`."""
        k = directions.shape[1]
        for layer in passable(self.hidden) or ():
            layer.pass_on(k)
        self.out.weight[:, :k] = directions

    def body(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users hidden"]:
        """Apply all layers except the last."""
        for layer in self.hidden:
            z = layer(z)
        return z

    def forward(self, z: Float[Tensor, "users latent"]) -> Float[Tensor, "users items"]:
        return self.out(self.body(z))
