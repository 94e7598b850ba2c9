"""The multinomial likelihood over a sample of the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.terms.sampled_reconstruction import SampledReconstruction
from nearfar.vae.terms.term import Term


@dataclass(frozen=True)
class Sampled(Likelihood):
    """The multinomial likelihood with a sampled normaliser, for catalogues of 10^5 to 10^7 items.

    Every step scores the items that somebody in the batch has (in-batch negatives) and
    `negatives` more, drawn uniformly; each is weighted by the inverse of its chance to be there
    (the logQ correction).

    Args:
        negatives: uniform draws per step, with replacement.
        background: as in `Multinomial`.
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"background": 0.0}

    negatives: PositiveInt = 8192
    background: NonNegativeFloat = 0.0

    def term(self, catalogue: Catalogue) -> Term:
        shares = torch.from_numpy(catalogue.item_counts / max(1, catalogue.n_users))
        return SampledReconstruction(shares.float(), self.negatives, self.background)
