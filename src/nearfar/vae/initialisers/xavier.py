"""The published initialiser."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.sparse import csr_array

from nearfar.vae.initialisers.initialiser import AddUp, Initialiser, alone
from nearfar.vae.network import VAE


@dataclass(frozen=True)
class Xavier(Initialiser):
    """Keeps the random weights of the layers: Glorot's, with small biases. Does not use the data.

    Source: the published code of Mult-VAE (Liang et al. 2018).

    Examples:
        >>> nf.MultVAE(initialiser=nf.initialisers.Xavier()).initialiser
        Xavier()
    """

    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone) -> None:
        pass
