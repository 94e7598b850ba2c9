"""Dropout of the L2-normalised history."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nearfar.core.ranges import PositiveShare
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.corruption.corruption import Corruption, kept, normalised


@dataclass(frozen=True)
class Dropout(Corruption):
    """x / ||x||, then entries dropped and the kept ones scaled by 1/keep_prob.

    Source: the published code of Mult-VAE (Liang et al. 2018).
    Differs: the paper's theorems speak of raw 0/1 masks; see `Mask`.

    Args:
        keep_prob: probability that an interaction is kept.
    """

    keep_prob: PositiveShare = 0.5

    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        return self.clean(rows).thin(kept(rows, self.keep_prob, rng), 1 / self.keep_prob)

    def clean(self, rows: Rows) -> WeightedRows:
        return WeightedRows(rows, normalised(rows))
