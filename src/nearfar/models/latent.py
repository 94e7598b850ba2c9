"""Models with a latent space."""

from __future__ import annotations

from abc import abstractmethod

from scipy.sparse import csr_array

from nearfar.models.model import Model
from nearfar.vae.posterior import DiagonalGaussian


class LatentModel(Model):
    """A model that places every history in a latent space.

    Examples:
        >>> isinstance(vae, nf.LatentModel), isinstance(ease, nf.LatentModel)
        (True, False)
    """

    @abstractmethod
    def encode(self, histories: csr_array) -> DiagonalGaussian:
        """The posteriors of clean histories, on the CPU."""
