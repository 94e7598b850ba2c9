"""The interface of a prior."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from nearfar.vae.posterior import DiagonalGaussian


class Prior(ABC):
    """p(z), by what the objective asks of it."""

    @abstractmethod
    def kl_per_dimension(
        self, posterior: DiagonalGaussian, z: Float[Tensor, "users latent"]
    ) -> Float[Tensor, "users latent"]:
        """KL(q(z|x~) || p(z)) in nats, dimension by dimension.

        In closed form where there is one, else estimated from the sample `z`.
        """
