"""Corruptions, which turn histories into inputs of the encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from nearfar.core.ranges import PositiveShare
from nearfar.core.settings import Settings
from nearfar.kernels.draws import uniform_by_entry
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows


class Corruption(Settings, ABC):
    """Turns a history x into the encoder's input: corrupted (x~) in training, else uncorrupted.

    Examples:
        >>> nf.MultVAE(corruption="clean").corruption
        Clean()
    """

    @abstractmethod
    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        """Return x~ (Eq. 1-2), a pure function of the rows and the generator's state."""

    @abstractmethod
    def clean(self, rows: Rows) -> WeightedRows:
        """Return the uncorrupted x as an input of the encoder."""


def normalised(rows: Rows) -> Float[Tensor, " nnz"]:
    """Return the values of x / ||x||_2: 1/sqrt(N) at each of a user's N interactions."""
    return rows.counts.clamp(min=1).rsqrt()[rows.users]


def keep_mask(rows: Rows, keep_prob: float, rng: torch.Generator) -> Bool[Tensor, " nnz"]:
    """Return a Bernoulli(keep_prob) mask over the interactions; true = kept."""
    return uniform_by_entry(rows, rng) < keep_prob


@dataclass(frozen=True)
class Clean(Corruption):
    """No corruption: the encoder receives the L2-normalised history (setting 1 of Figure 2).

    Examples:
        >>> nf.MultVAE(corruption=nf.corruptions.Clean()).corruption
        Clean()
    """

    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        return self.clean(rows)

    def clean(self, rows: Rows) -> WeightedRows:
        return WeightedRows(rows, normalised(rows))


@dataclass(frozen=True)
class Dropout(Corruption):
    """Dropout on x / ||x||: each entry is dropped, or kept and scaled by 1/keep_prob.

    Source: the published code of Mult-VAE (Liang et al. 2018).
    Differs: the paper's theorems use raw 0/1 masks; see `Mask`.

    Args:
        keep_prob: probability that an interaction is kept.

    Examples:
        >>> nf.MultVAE(corruption=nf.corruptions.Dropout(keep_prob=0.7)).corruption
        Dropout(keep_prob=0.7)
    """

    keep_prob: PositiveShare = 0.5

    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        return self.clean(rows).thin(keep_mask(rows, self.keep_prob, rng), 1 / self.keep_prob)

    def clean(self, rows: Rows) -> WeightedRows:
        return WeightedRows(rows, normalised(rows))


@dataclass(frozen=True)
class Mask(Corruption):
    """The mask x~ = x * b, b i.i.d. Bernoulli(keep_prob), not normalised or rescaled (Eq. 2).

    Notation: `keep_prob` = rho.

    Args:
        keep_prob: probability that an interaction is kept.

    Examples:
        >>> nf.MultVAE(corruption=nf.corruptions.Mask(keep_prob=0.7)).corruption
        Mask(keep_prob=0.7)
    """

    keep_prob: PositiveShare = 0.5

    def corrupt(self, rows: Rows, rng: torch.Generator) -> WeightedRows:
        return self.clean(rows).thin(keep_mask(rows, self.keep_prob, rng))

    def clean(self, rows: Rows) -> WeightedRows:
        return WeightedRows(rows, torch.ones(rows.indices.shape, device=rows.indices.device))
