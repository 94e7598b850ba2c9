"""The objective: terms with weights (Eq. 8)."""

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
    """A term and how much it counts."""

    term: Term
    weight: Weight


class Objective(nn.Module):
    """The sum of weighted terms, each averaged over the users of the batch.

    With reconstruction at 1, KL at beta and alignment at lambda_A this is L_PIA of Eq. 8;
    without the last it is L of Eq. 1. Parameters of the terms (the anchors) and of the prior
    are its own.

    Args:
        terms: by name.
        prior: p(z), where a term looks at one.
    """

    def __init__(
        self, terms: Mapping[str, WeightedTerm], prior: PriorNetwork | None = None
    ) -> None:
        super().__init__()
        self.terms = dict(terms)
        self.prior = prior
        self.term_modules = nn.ModuleDict(
            {name: a.term for name, a in self.terms.items() if isinstance(a.term, nn.Module)}
        )

    def weights(self, progress: Progress) -> dict[str, float]:
        """The weight of every term at this point of training."""
        return {name: weighted.weight(progress) for name, weighted in self.terms.items()}

    def forward(
        self, step: Step, weights: Mapping[str, float]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The loss, and the mean over the batch's users of every term that has a weight here."""
        parts, means = [], {}
        for name, weight in weights.items():
            weighted = self.terms[name]
            values = weighted.term(step)
            means[name] = values.detach().mean()
            if weighted.weight.by_interactions:
                values = values * step.histories.counts
            parts.append(weight * values.mean())
        return torch.stack(parts).sum(), means
