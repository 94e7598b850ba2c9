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
    """Return the values unchanged, as the sum over a single process."""
    return values


class Initialiser(Settings, ABC):
    """Sets the weights of a new network before the first step; the setting `initialiser`.

    Examples:
        >>> nf.MultVAE(initialiser="xavier").initialiser
        Xavier()
    """

    @abstractmethod
    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        """Change the network's weights in place.

        Args:
            network: the network, with random weights of its layers.
            x: training users x items.
            seed: random seed.
            add_up: sums over the processes, if `x` has only some of the training users.
        """
