"""The interface of a prior."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.core.errors import SettingsError
from nearfar.core.settings import Settings
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.step import Step

Density = Callable[[Float[Tensor, "users latent"]], Float[Tensor, " users"]]
"""log p as a function of z, in nats per user."""


class PriorNetwork(nn.Module, ABC):
    """The prior density p(z), with its trainable parameters.

    Examples:
        >>> class Laplace(nf.PriorNetwork):
        ...     def log_density(self, step):
        ...         return (-step.z.abs() - np.log(2)).sum(dim=1)
        >>> @dataclass(frozen=True)
        ... class LaplacePrior(nf.Prior):
        ...     def build(self, n_items, n_latent, rng):
        ...         return Laplace()
        >>> algorithm = nf.MultVAE(prior=LaplacePrior(), epochs=1, **small)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    @abstractmethod
    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        """Return log p(z) in nats at the step's z."""

    def kl(self, step: Step) -> Float[Tensor, " users"]:
        """Return KL(q(z|x~) || p(z)) in nats, in closed form or estimated from the step's z."""
        return step.draw.log_density - self.log_density(step)

    @property
    def knows_user(self) -> bool:
        """Whether the density depends on the user's history, and is not the same for all users."""
        return False

    def density(self, step: Step) -> Density:
        """Return log p in nats per user as a function of z, for the users of a step."""
        return lambda z: self.log_density(replace(step, draw=replace(step.draw, z=z)))

    def learned(self) -> dict[str, np.ndarray]:
        """Return the trainable parameters by name, without copies of the encoder."""
        return {n: p.detach().cpu().numpy() for n, p in self.named_parameters() if p.requires_grad}

    def load_learned(self, values: Mapping[str, np.ndarray], encoder: EncoderNetwork) -> None:
        """Set the parameters to what `learned` returned, and renew the prior.

        Raises:
            SettingsError: these are not the parameters of this prior.
        """
        self.renew(encoder)
        parameters = {name: p for name, p in self.named_parameters() if p.requires_grad}
        shapes = {name: tuple(p.shape) for name, p in parameters.items()}
        saved_shapes = {name: tuple(v.shape) for name, v in values.items()}
        if shapes != saved_shapes:
            raise SettingsError(
                f"the prior's parameters have shapes {shapes}, and the model has {saved_shapes}; a "
                "bundle written before priors were saved lacks them: train it again"
            )
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(torch.from_numpy(np.array(values[name])))

    def renew(self, encoder: EncoderNetwork) -> None:
        """Copy from the encoder what the prior needs; by default nothing.

        Called before training, and at the end of the phases that renew the prior.
        """


class Prior(Settings, ABC):
    """The settings of a prior.

    Examples:
        >>> nf.MultVAE(prior="vamp").prior.pseudo_inputs
        1000
    """

    @abstractmethod
    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        """Return a prior with fresh parameters, drawn from `rng`."""
