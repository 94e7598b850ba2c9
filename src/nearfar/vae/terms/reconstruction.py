"""The multinomial reconstruction term of Eq. 1."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.terms.term import Step


def reconstruction(step: Step, /) -> Float[Tensor, " users"]:
    """-log p(x|z) = -sum_i x_i log softmax(f(z))_i, in nats a user (Eq. 1)."""
    return step.output.multinomial_nll(step.hidden, step.histories)
