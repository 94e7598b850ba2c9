"""The multinomial likelihood, exact or sampled depending on the size of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.likelihoods.multinomial import Multinomial
from nearfar.vae.likelihoods.sampled import Sampled
from nearfar.vae.step import Term

EXACT_ITEMS = 200_000
"""Largest catalogue for which the multinomial likelihood is exact."""


@dataclass(frozen=True)
class BySize(Likelihood):
    """The exact multinomial likelihood up to 200,000 items, and the sampled one above.

    Args:
        background: as in `Multinomial`.
        negatives: as in `Sampled`.

    Examples:
        >>> nf.MultVAE(likelihood=nf.likelihoods.BySize(background=0.5)).likelihood
        BySize(background=0.5, negatives=8192)
    """

    background: NonNegativeFloat = 1.0
    negatives: PositiveInt = 8192

    def of(self, catalogue: TrainingCounts) -> Multinomial | Sampled:
        """Return the likelihood for the size of this catalogue."""
        if catalogue.n_items <= EXACT_ITEMS:
            return Multinomial(self.background)
        return Sampled(self.negatives, self.background)

    def term(self, catalogue: TrainingCounts) -> Term:
        return self.of(catalogue).term(catalogue)
