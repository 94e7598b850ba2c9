"""The KL term of Eq. 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.terms.term import Step


@runtime_checkable
class HasKL(Protocol):
    """A prior, as far as this term needs one: priors read steps, so terms import no priors."""

    def kl(self, step: Step) -> Float[Tensor, " users"]: ...


@dataclass(frozen=True)
class KL:
    """KL(q(z|x~) || p(z)), in nats a user (Eq. 1)."""

    prior: HasKL

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        return self.prior.kl(step)
