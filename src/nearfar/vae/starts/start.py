"""The interface of a start."""

from __future__ import annotations

from abc import ABC, abstractmethod

from scipy.sparse import csr_array

from nearfar.vae.network import VAE


class Start(ABC):
    """What a fresh network is given of the data before its first step."""

    @abstractmethod
    def apply(self, network: VAE, x: csr_array, seed: int) -> None:
        """Change the network's weights in place.

        Args:
            network: with the weights that its layers were drawn with.
            x: training users x items.
            seed: of whatever is random.
        """
