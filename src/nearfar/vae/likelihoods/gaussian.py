"""The Gaussian likelihood."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.core.ranges import PositiveFloat
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.step import Step, Term


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """The weighted square loss: x_i ~ N(f_i, 1/c_i), with c_i = 1 for the user's items.

    Constants are left out. The scores of a batch are dense, and three arrays of their size are
    kept for the gradient.

    Source: Liang et al. 2018, section 2.2; the square loss of CDAE (Wu et al. 2016).

    Args:
        negative_weight: c_i of all other items.

    Examples:
        >>> nf.MultVAE(likelihood=nf.likelihoods.Gaussian(negative_weight=0.2)).likelihood
        Gaussian(negative_weight=0.2)
    """

    negative_weight: PositiveFloat = 0.1

    def term(self, catalogue: TrainingCounts) -> Term:
        return GaussianLoss(self.negative_weight)


@dataclass(frozen=True)
class GaussianLoss:
    """The term sum_i (c_i / 2) (x_i - f_i)^2, c_i = 1 (or the weight) for i in S, else c.

    Notation: `negative_weight` = c.
    """

    negative_weight: float

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, logits, c = step.histories, step.logits, self.negative_weight
        positives = logits[rows.users, rows.indices]
        weights = 1.0 if rows.weights is None else rows.weights
        corrections = weights * (1 - positives).square() - c * positives.square()
        as_if_negative = c * logits.square().sum(1)
        return 0.5 * as_if_negative.index_add(0, rows.users, corrections)
