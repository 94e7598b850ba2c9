"""No corruption."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.corruption.corruption import Corruption, normalised


@dataclass(frozen=True)
class Clean(Corruption):
    """The encoder always sees the whole history, L2-normalised (setting 1 of Figure 2)."""

    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        return self.clean(rows)

    def clean(self, rows: Rows) -> WeightedRows:
        return WeightedRows(rows, normalised(rows))
