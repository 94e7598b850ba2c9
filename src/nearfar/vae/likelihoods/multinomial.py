"""The exact multinomial likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.terms.reconstruction import reconstruction
from nearfar.vae.terms.term import Term


@dataclass(frozen=True)
class Multinomial(Likelihood):
    """The multinomial likelihood over the whole catalogue (Eq. 1)."""

    def term(self, catalogue: Catalogue) -> Term:
        return reconstruction
