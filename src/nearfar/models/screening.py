"""Exact rankings at a linear output layer from products in bfloat16.

Scores in bfloat16 cost a third of those in float32 on processors made for it, and are wrong by
no more than a bound that is computed. Whoever cannot be among the best k by that bound is left
out; the few that can are scored in float32. Users for whom the few would be too many are left to
the plain way.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from nearfar.models.top_k import best, by_score
from nearfar.vae.decoder import OutputLayer

ROUNDING = 2.0**-7
"""Twice what storing a score in bfloat16 can change it by, relative to itself."""


BLOCK_ITEMS = 1024


@dataclass(frozen=True, eq=False)
class Screen:
    """An output layer with its weights in bfloat16, and how far these are off.

    Attributes:
        errors: the largest row of the weights, row of their error, and error of the biases.
    """

    layer: OutputLayer
    weight: Tensor
    bias: Tensor
    errors: tuple[float, float, float]

    @classmethod
    def of(cls, layer: OutputLayer) -> Screen:
        """The screen of a layer's weights as they are now."""
        exact, bias = layer.weight.detach(), layer.bias.detach()
        weight = torch.empty_like(exact, dtype=torch.bfloat16)
        largest, error = [], []
        for start in range(0, len(exact), BLOCK_ITEMS):  # a block stays in cache
            block = slice(start, start + BLOCK_ITEMS)
            weight[block] = exact[block]
            largest.append(exact[block].norm(dim=1).max())
            error.append((exact[block] - weight[block]).norm(dim=1).max())
        of_bias = (bias - bias.bfloat16()).abs().max()
        errors = (float(torch.stack(largest).max()), float(torch.stack(error).max()))
        return cls(layer, weight, bias.bfloat16(), (*errors, float(of_bias)))

    def bound(self, hidden: Float[Tensor, "users hidden"]) -> Float[Tensor, " users"]:
        """By how much any score of a user can be off before it is rounded to bfloat16.

        f - f~ = (h - h~) W + h~ (W - W~) + (b - b~), by Cauchy and Schwarz; the last term is
        what summing in float32 can add.
        """
        largest, error, of_bias = self.errors
        rounded = hidden.to(torch.bfloat16).float()
        norms = rounded.norm(dim=1)
        summing = hidden.shape[1] * 2.0**-23 * largest * norms
        return (hidden - rounded).norm(dim=1) * largest + norms * error + of_bias + summing

    def rank(
        self,
        hidden: Float[Tensor, "users hidden"],
        k: int,
        keep: int,
        exclude: Callable[[Tensor], None],
        memory: Tensor,
    ) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"], Bool[Tensor, " users"]]:
        """Items and float32 scores of the best k, and for whom they are certainly the best.

        Args:
            hidden: what the layer is given.
            k: places.
            keep: how many are scored in float32; at least k.
            exclude: sets what is no candidate to -inf in the scores it is given.
            memory: users x items of bfloat16 to work in.
        """
        self.layer.scores(hidden.to(torch.bfloat16), memory, self.weight, self.bias)
        exclude(memory)
        items = best(memory, keep)
        items.numpy().sort(axis=1)
        rough = memory.gather(1, items).float()
        kth, last = torch.kthvalue(rough, keep - k + 1, dim=1).values, rough.amin(1)
        doubt = self.bound(hidden)
        certain = last + last.abs() * ROUNDING + doubt < kth - kth.abs() * ROUNDING - doubt
        certain |= last == float("-inf")
        exact = self._exact(hidden, items).masked_fill_(rough == float("-inf"), float("-inf"))
        items, exact = by_score(items, exact)
        return items[:, :k], exact[:, :k], certain

    def _exact(
        self, hidden: Float[Tensor, "users hidden"], items: Int64[Tensor, "users kept"]
    ) -> Float[Tensor, "users kept"]:
        """The layer's scores at these places alone: a product sampled where it is asked for."""
        n_users, keep = items.shape
        weight, bias = self.layer.weight.detach(), self.layer.bias.detach()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse", UserWarning)  # CSR tensors are "beta"
            wanted = torch.sparse_csr_tensor(
                torch.arange(0, n_users * keep + 1, keep),
                items.reshape(-1),
                torch.zeros(n_users * keep),
                size=(n_users, len(weight)),
                check_invariants=False,
            )
            found = torch.sparse.sampled_addmm(wanted, hidden, weight.T, beta=0.0)
        return found.values().view(n_users, keep) + bias[items]
