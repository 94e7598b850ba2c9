"""The interface of an initialiser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.settings import Settings
from nearfar.vae.network import VAE

AddUp = Callable[[Tensor], Tensor]
"""Return the sum of a tensor over all processes that share the training users."""


def alone(values: Tensor) -> Tensor:
    """Return the values: there is no other process."""
    return values


class Initialiser(Settings, ABC):
    """How the weights of a fresh network are set before the first step; the setting `start`.

    Examples:
        >>> nf.MultVAE(start="xavier").start
        Xavier()
    """

    @abstractmethod
    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        """Change the network's weights in place.

        Args:
            network: with the weights that its layers were drawn with.
            x: training users x items.
            seed: of whatever is random.
            add_up: adds up over the processes, where `x` has only some of the training users.
        """
