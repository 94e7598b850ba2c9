"""The Gaussian likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import PositiveFloat
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.terms.squares import Squares
from nearfar.vae.terms.term import Term


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """x_i ~ N(f_i, 1/c_i), c_i = 1 for the user's own items: the weighted square loss.

    Up to a constant. Scores of a batch are dense and kept for the gradient, three times over.

    Source: Liang et al. 2018, section 2.2; the square loss of CDAE (Wu et al. 2016).

    Args:
        negative_weight: c_i of all other items.
    """

    negative_weight: PositiveFloat = 0.1

    def term(self, catalogue: Catalogue) -> Term:
        return Squares(self.negative_weight)
