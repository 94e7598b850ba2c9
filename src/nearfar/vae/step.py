"""A training step as the objective terms see it, and the interface of a term."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.posterior import DiagonalGaussian, Draw


@dataclass(frozen=True, eq=False)
class Step:
    """One training step as the terms see it.

    `histories` are the full targets x; `shown` is the corrupted history x~ that made the `draw`;
    `hidden` is what the decoder hands to its last layer, `output`; `encoder` and `corruption` are
    the network's own, for terms that encode something else; terms that sample draw from `rng`,
    the step's own generator.

    Examples:
        >>> def square(step):
        ...     return step.logits.square().mean(dim=1)  # one value per user
    """

    histories: Rows
    draw: Draw
    hidden: Float[Tensor, "users hidden"]
    output: OutputLayer
    encoder: EncoderNetwork
    shown: WeightedRows
    corruption: Corruption
    rng: torch.Generator = field(default_factory=torch.Generator)

    @property
    def posterior(self) -> DiagonalGaussian:
        """q(z|x~), or q(z_0|x~) where a flow follows."""
        return self.draw.posterior

    @property
    def z(self) -> Float[Tensor, "users latent"]:
        return self.draw.z

    @cached_property
    def clean_history(self) -> WeightedRows:
        """x as the encoder sees it when nothing is hidden."""
        return self.corruption.clean(self.histories)

    @cached_property
    def logits(self) -> Float[Tensor, "users items"]:
        """f(z), dense: for terms that need every score at once."""
        return self.output(self.hidden)


@runtime_checkable
class Term(Protocol):
    """One term of the objective; a term with parameters is a torch module too."""

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]: ...
