"""The objective: a weighted sum of objective terms (Eq. 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.priors.prior import PriorNetwork
from nearfar.vae.step import Step, Term
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class WeightedTerm:
    """An objective term and its weight."""

    term: Term
    weight: Weight


class Objective(nn.Module):
    """The weighted sum of objective terms, each averaged over the users of the batch.

    With weights 1 of reconstruction, beta of KL and lambda_A of alignment this is L_PIA of Eq. 8;
    without alignment it is L of Eq. 1. The parameters of the terms (the anchors) and of the prior
    are parameters of this module.

    Args:
        terms: the weighted terms by name.
        prior: p(z), if a term uses it.
    """

    def __init__(
        self, terms: Mapping[str, WeightedTerm], prior: PriorNetwork | None = None
    ) -> None:
        super().__init__()
        self.terms = dict(terms)
        self.prior = prior
        self.term_modules = nn.ModuleDict(
            {
                name: weighted.term
                for name, weighted in self.terms.items()
                if isinstance(weighted.term, nn.Module)
            }
        )

    def weights(self, progress: Progress) -> dict[str, float]:
        """Return the weight of every term at this point of training."""
        return {name: weighted.weight(progress) for name, weighted in self.terms.items()}

    def forward(
        self, step: Step, weights: Mapping[str, float]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """Return the loss and the mean over users of each term in `weights`."""
        weighted_means, means = [], {}
        for name, weight in weights.items():
            weighted = self.terms[name]
            values = weighted.term(step)
            means[name] = values.detach().mean()
            if weighted.weight.by_interactions:
                values = values * step.histories.counts
            weighted_means.append(weight * values.mean())
        return torch.stack(weighted_means).sum(), means
