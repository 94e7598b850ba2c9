"""Features on one scale, by what batches gone by were like."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

KEPT = 0.99
"""How much the moments of older batches still count after one more."""

SMALLEST_VARIANCE = 1e-3


class Moments(nn.Module):
    """Features less their mean over their standard deviation: batch normalisation as at test time.

    The moments are averages over the users of the batches that were gathered; a batch counts
    less with every later one. They stay when features are normalised, so that a gradient
    through a feature may shift all users alike, which the moments of its own batch would hide.

    Notation: `totals` = sums over users of 1, f, f^2, feature by feature.
    Source: Ioffe and Szegedy, Batch Normalization, 2015, section 3.1, without scale and shift.
    """

    totals: Float64[Tensor, "3 features"]

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("totals", torch.zeros(3, n_features, dtype=torch.float64))

    @torch.no_grad()
    def gather(self, features: Float[Tensor, "users features"]) -> None:
        """Take in a batch."""
        f = features.double()
        sums = torch.stack([torch.ones_like(f).sum(0), f.sum(0), f.square().sum(0)])
        self.totals.mul_(KEPT).add_(sums)

    def forward(self, features: Float[Tensor, "users features"]) -> Float[Tensor, "users features"]:
        """(f - mean) / sqrt(variance), by what was gathered."""
        n, sums, squares = self.totals
        mean = sums / n
        variance = (squares / n - mean.square()).clamp(min=0) + SMALLEST_VARIANCE
        return (features - mean.to(features.dtype)) * variance.rsqrt().to(features.dtype)
