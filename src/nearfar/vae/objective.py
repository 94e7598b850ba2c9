"""The objective: terms with weights (Eq. 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

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

    def __init__(self, addends: Mapping[str, Addend]) -> None:
        super().__init__()
        self.addends = dict(addends)
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
        # A sum over terms in a fixed order; a weight of zero still builds the graph, so that
        # every parameter has a gradient in every step.
        loss = sum((weights[name] * mean for name, mean in means.items()), start=0.0 * step.z.sum())
        return loss, {name: mean.detach() for name, mean in means.items()}
