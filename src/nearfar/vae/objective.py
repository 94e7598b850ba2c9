"""The objective: terms with weights (Eq. 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.priors.prior import Prior
from nearfar.vae.terms.term import Step, Term
from nearfar.vae.weights.weight import Progress, Weight


@dataclass(frozen=True)
class Addend:
    """A term and how much it counts."""

    term: Term
    weight: Weight


class Objective(nn.Module):
    """The sum of weighted terms, each averaged over the users of the batch.

    With reconstruction at 1, KL at beta and alignment at lambda_A this is L_PIA of Eq. 8;
    without the last it is L of Eq. 1. Parameters of the terms (the anchors) are its own.
    """

    def __init__(self, addends: Mapping[str, Addend], prior: Prior) -> None:
        super().__init__()
        self.addends = dict(addends)
        self.prior = prior
        self.term_modules = nn.ModuleDict(
            {name: a.term for name, a in self.addends.items() if isinstance(a.term, nn.Module)}
        )

    def weights(self, progress: Progress) -> dict[str, float]:
        """The weight of every term at this point of training."""
        return {name: addend.weight(progress) for name, addend in self.addends.items()}

    def forward(
        self, step: Step, weights: Mapping[str, float]
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """The loss, and every term's mean over the batch's users before weighting."""
        means = {name: addend.term(step).mean() for name, addend in self.addends.items()}
        loss = torch.stack([weights[name] * mean for name, mean in means.items()]).sum()
        return loss, {name: mean.detach() for name, mean in means.items()}

    @torch.no_grad()
    def kl_per_dimension(self, step: Step) -> Float[Tensor, "users latent"]:
        """KL to the prior in nats, to see which dimensions carry nothing (collapse)."""
        return self.prior.kl_per_dimension(step.posterior, step.z)
