"""The Gaussian reconstruction term."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.terms.term import Step


@dataclass(frozen=True)
class Squares:
    """sum_i (c_i / 2) (x_i - f_i)^2, c_i = 1 for i in S and c elsewhere, a user.

    Notation: `negative_weight` = c.
    """

    negative_weight: float

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, logits, c = step.histories, step.logits, self.negative_weight
        own = logits[rows.users, rows.indices]
        corrections = (1 - own).square() - c * own.square()
        whole = c * logits.square().sum(1)
        return 0.5 * whole.index_add(0, rows.users, corrections)
