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
    """Every item is an independent binary variable.

    The scores of a batch are dense, and three arrays of their size are kept for the gradient.

    Source: the likelihood of H+Vamp (Kim and Suh 2019) and of CDAE with its logistic loss (Wu et
    al. 2016).

    Examples:
        >>> nf.MultVAE(likelihood=nf.likelihoods.Bernoulli()).likelihood
        Bernoulli()
    """

    def term(self, catalogue: TrainingCounts) -> Term:
        return bernoulli


def bernoulli(step: Step, /) -> Float[Tensor, " users"]:
    """Return -log p(x|z) = sum_i softplus(f_i) - sum_{i in S} f_i, in nats per user.

    Every item is an independent binary variable with log odds f(z)_i. Weights of interactions
    multiply the terms softplus(-f_i) of the user's items.
    """
    rows, logits = step.histories, step.logits
    positives = logits[rows.users, rows.indices]
    if rows.weights is not None:
        positives = positives - (rows.weights - 1) * torch.nn.functional.softplus(-positives)
    positive_sums = torch.zeros_like(logits[:, 0]).index_add(0, rows.users, positives)
    return torch.nn.functional.softplus(logits).sum(1) - positive_sums
