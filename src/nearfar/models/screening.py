"""Rank the outputs of a linear layer exactly, using products in bfloat16 to discard most items.

Scores in bfloat16 cost a third of those in float32 on processors that multiply bfloat16, and their
error has a bound that is computed. Items that cannot be among the best k by that bound are
discarded, and the few others are scored in float32. If too many items remain for a user, the
caller ranks that user's float32 scores instead.
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
"""Twice the largest relative error of rounding a score to bfloat16."""

BLOCK_ITEMS = 1024
"""Rows of the weights per block, so that a block stays in cache."""


@dataclass(frozen=True, eq=False)
class Screen:
    """An output layer, its weights in bfloat16 and their largest errors.

    Attributes:
        layer: the output layer, in float32.
        weight: its weights in bfloat16.
        bias: its biases in bfloat16.
        errors: the largest norm of a row of the weights, the largest norm of a row of their error,
            and the largest error of a bias.
    """

    layer: OutputLayer
    weight: Tensor
    bias: Tensor
    errors: tuple[float, float, float]

    @classmethod
    def of(cls, layer: OutputLayer) -> Screen:
        """Return the screen of a layer's current weights."""
        exact, bias = layer.weight.detach(), layer.bias.detach()
        weight = torch.empty_like(exact, dtype=torch.bfloat16)
        norms, error_norms = [], []
        for start in range(0, len(exact), BLOCK_ITEMS):
            block = slice(start, start + BLOCK_ITEMS)
            weight[block] = exact[block]
            norms.append(exact[block].norm(dim=1).max())
            error_norms.append((exact[block] - weight[block]).norm(dim=1).max())
        bias_error = (bias - bias.bfloat16()).abs().max()
        errors = (float(torch.stack(norms).max()), float(torch.stack(error_norms).max()))
        return cls(layer, weight, bias.bfloat16(), (*errors, float(bias_error)))

    def bound(self, hidden: Float[Tensor, "users hidden"]) -> Float[Tensor, " users"]:
        """Return the largest error of each user's scores before they are rounded to bfloat16.

        f - f~ = (h - h~) W + h~ (W - W~) + (b - b~), bounded by Cauchy and Schwarz, plus the error
        of summing in float32.
        """
        weight_norm, weight_error, bias_error = self.errors
        rounded = hidden.to(torch.bfloat16).float()
        norms = rounded.norm(dim=1)
        summing = hidden.shape[1] * 2.0**-23 * weight_norm * norms
        rounding = (hidden - rounded).norm(dim=1)
        return rounding * weight_norm + norms * weight_error + bias_error + summing

    def rank(
        self,
        hidden: Float[Tensor, "users hidden"],
        k: int,
        keep: int,
        exclude: Callable[[Tensor], None],
        memory: Tensor,
    ) -> tuple[Int64[Tensor, "users k"], Float[Tensor, "users k"], Bool[Tensor, " users"]]:
        """Return the best k items of every user, their float32 scores, and if they are certain.

        Args:
            hidden: the inputs of the layer.
            k: items per user.
            keep: items per user to score in float32; at least k.
            exclude: sets the scores of items that are not candidates to -inf, in place.
            memory: users x items in bfloat16; overwritten.
        """
        self.layer.scores(hidden.to(torch.bfloat16), memory, self.weight, self.bias)
        exclude(memory)
        items = best(memory, keep)
        items.numpy().sort(axis=1)
        rough = memory.gather(1, items).float()
        kth, last = torch.kthvalue(rough, keep - k + 1, dim=1).values, rough.amin(1)
        error = self.bound(hidden)
        # No discarded item, whose score is at most `last`, can be above the k-th best.
        certain = last + last.abs() * ROUNDING + error < kth - kth.abs() * ROUNDING - error
        certain |= last == float("-inf")
        exact = self._exact(hidden, items).masked_fill_(rough == float("-inf"), float("-inf"))
        items, exact = by_score(items, exact)
        return items[:, :k], exact[:, :k], certain

    def _exact(
        self, hidden: Float[Tensor, "users hidden"], items: Int64[Tensor, "users kept"]
    ) -> Float[Tensor, "users kept"]:
        """Return the layer's float32 scores of these items only, by a sampled product."""
        n_users, keep = items.shape
        weight, bias = self.layer.weight.detach(), self.layer.bias.detach()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse", UserWarning)  # CSR tensors are "beta"
            pattern = torch.sparse_csr_tensor(
                torch.arange(0, n_users * keep + 1, keep),
                items.reshape(-1),
                torch.zeros(n_users * keep),
                size=(n_users, len(weight)),
                check_invariants=False,
            )
            products = torch.sparse.sampled_addmm(pattern, hidden, weight.T, beta=0.0)
        return products.values().view(n_users, keep) + bias[items]
