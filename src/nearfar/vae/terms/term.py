"""What a term is given, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.vae.output import OutputLayer
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.rows import Rows


@dataclass(frozen=True, eq=False)
class Step:
    """One training step as the terms see it.

    `histories` are the full targets x, not the corrupted input that made the posterior;
    `hidden` is what the decoder hands to its last layer, `output`; terms that sample draw from
    `rng`, the step's own generator.
    """

    histories: Rows
    posterior: DiagonalGaussian
    z: Float[Tensor, "users latent"]
    hidden: Float[Tensor, "users hidden"]
    output: OutputLayer
    rng: torch.Generator = field(default_factory=torch.Generator)

    @cached_property
    def logits(self) -> Float[Tensor, "users items"]:
        """f(z), dense: for terms that need every score at once."""
        return self.output(self.hidden)


@runtime_checkable
class Term(Protocol):
    """One addend of the objective; a term with parameters is a torch module too."""

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]: ...
