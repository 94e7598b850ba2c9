"""A raw Bernoulli mask."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nearfar.core.ranges import PositiveShare
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.corruption.corruption import Corruption, kept


@dataclass(frozen=True)
class Mask(Corruption):
    """x~ = x * b with b i.i.d. Bernoulli(keep_prob), neither normalised nor rescaled (Eq. 2).

    Notation: `keep_prob` = rho.

    Args:
        keep_prob: probability that an interaction is kept.
    """

    keep_prob: PositiveShare = 0.5

    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        return self.clean(rows).thin(kept(rows, self.keep_prob, rng))

    def clean(self, rows: Rows) -> WeightedRows:
        return WeightedRows(rows, torch.ones(rows.indices.shape, device=rows.indices.device))
