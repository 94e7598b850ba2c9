"""The Bernoulli likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.step import Step, Term


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Every item of the catalogue an independent yes or no.

    Source: the likelihood of H+Vamp (Kim and Suh 2019) and of CDAE with its logistic loss (Wu et
    al. 2016). Scores of a batch are dense and kept for the gradient, three times over.

    Examples:
        >>> nf.MultVAE(likelihood=nf.likelihoods.Bernoulli()).likelihood
        Bernoulli()
    """

    def term(self, catalogue: TrainingCounts) -> Term:
        return bernoulli


def bernoulli(step: Step, /) -> Float[Tensor, " users"]:
    """-log p(x|z) = sum_i softplus(f_i) - sum_{i in S} f_i, in nats per user.

    Every item is an independent yes or no with log odds f(z)_i. Where interactions have weights
    w_i, those of the user's own items multiply their terms, softplus(-f_i).
    """
    rows, logits = step.histories, step.logits
    own = logits[rows.users, rows.indices]
    if rows.weights is not None:
        own = own - (rows.weights - 1) * torch.nn.functional.softplus(-own)
    chosen = torch.zeros_like(logits[:, 0]).index_add(0, rows.users, own)
    return torch.nn.functional.softplus(logits).sum(1) - chosen
