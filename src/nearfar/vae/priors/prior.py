"""The interface of a prior."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.settings import Settings
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.step import Step


class PriorNetwork(nn.Module, ABC):
    """p(z), by what the objective asks of it; what it learns are its parameters."""

    @abstractmethod
    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        """log p(z) in nats at the step's z."""

    def kl(self, step: Step) -> Float[Tensor, " users"]:
        """KL(q(z|x~) || p(z)) in nats: in closed form where there is one, else by the step's z."""
        return step.draw.log_density - self.log_density(step)

    def renew(self, encoder: EncoderNetwork) -> None:
        """What the prior takes over of the encoder when a phase of training ends; mostly nothing.

        Called once before training too.
        """


class Prior(Settings, ABC):
    """The settings of a prior."""

    @abstractmethod
    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        """A prior with fresh parameters, drawn from `rng`."""
