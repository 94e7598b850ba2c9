"""The inputs of an objective term in a training step, and the interface of a term."""

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
    """One training step: what objective terms are computed from.

    Args:
        histories: the uncorrupted histories x, which are the targets.
        draw: the latents of the batch.
        hidden: inputs of the decoder's last layer.
        output: the decoder's last layer.
        encoder: the network's encoder, for terms that encode something else.
        shown: the corrupted histories x~ that were encoded.
        corruption: the network's corruption.
        rng: the generator of this step, for terms that sample.

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
        """q(z|x~); with a flow, q(z_0|x~)."""
        return self.draw.posterior

    @property
    def z(self) -> Float[Tensor, "users latent"]:
        return self.draw.z

    @cached_property
    def clean_history(self) -> WeightedRows:
        """The uncorrupted x as an input of the encoder."""
        return self.corruption.clean(self.histories)

    @cached_property
    def logits(self) -> Float[Tensor, "users items"]:
        """The dense f(z), for terms that need all scores at once."""
        return self.output(self.hidden)


@runtime_checkable
class Term(Protocol):
    """A term of the objective; a term with parameters is also a torch module."""

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]: ...
