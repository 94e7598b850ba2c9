"""The Bernoulli likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.terms.bernoulli import bernoulli
from nearfar.vae.terms.term import Term


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Every item of the catalogue an independent yes or no.

    Source: the likelihood of H+Vamp (Kim and Suh 2019) and of CDAE with its logistic loss (Wu et
    al. 2016). Scores of a batch are dense and kept for the gradient, three times over.
    """

    def term(self, catalogue: Catalogue) -> Term:
        return bernoulli
