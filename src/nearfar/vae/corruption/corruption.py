"""The interface of a corruption."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nearfar.core.settings import Settings
from nearfar.kernels.draws import uniform_by_entry
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows


class Corruption(Settings, ABC):
    """What the encoder is shown of a history x: x~ in training, x afterwards."""

    @abstractmethod
    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        """x~ (Eq. 1-2); a pure function of the rows and the generator's state."""

    @abstractmethod
    def clean(self, rows: Rows) -> WeightedRows:
        """x as the encoder sees it when nothing is hidden."""


def normalised(rows: Rows) -> Float[Tensor, " nnz"]:
    """The values of x / ||x||_2: 1/sqrt(N) at each of a user's N positives."""
    return rows.counts.clamp(min=1).rsqrt()[rows.users]


def kept(rows: Rows, keep_prob: float, rng: torch.Generator) -> Bool[Tensor, " nnz"]:
    """A Bernoulli(keep_prob) mask over the positives, true = kept."""
    return uniform_by_entry(rows, rng) < keep_prob
