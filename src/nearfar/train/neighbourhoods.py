"""The share of nearest neighbours that users keep from epoch to epoch."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.seeding import generator
from nearfar.kernels.rows import Rows
from nearfar.vae.neighbours import nearest, overlap
from nearfar.vae.network import VAE

N_USERS = 256
K_NEIGHBOURS = 10
FEWEST_USERS = 4


class Neighbourhoods:
    """The nearest neighbours of a sample of training users, as of the last epoch.

    Args:
        rows: histories of the sample, see `sample_users`.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.k = min(K_NEIGHBOURS, rows.n_users // 2)
        self.last: Int64[Tensor, "users k"] | None = None

    @classmethod
    def of(
        cls, x: csr_array, users: np.ndarray, seed: int, device: torch.device | str
    ) -> Neighbourhoods:
        """Return the neighbourhoods of a sample of the rows `users` of x.

        Args:
            x: training users x items.
            users: rows that may be drawn, those with items.
            seed: of the sample.
            device: where the network is.
        """
        return cls(Rows.from_csr(x, sample_users(users, seed), device))

    @torch.no_grad()
    def kept(self, network: VAE) -> float | None:
        """Which share of their ten nearest neighbours the users kept since the last time.

        None the first time, or where there are too few users.
        """
        if self.rows.n_users < FEWEST_USERS:
            return None
        before, self.last = self.last, nearest(network.latents(self.rows), self.k)
        return None if before is None else float(overlap(before, self.last).mean())


def sample_users(users: np.ndarray, seed: int) -> np.ndarray:
    """Return the users whose neighbours are compared, in ascending order."""
    rng = generator(seed, "neighbourhoods")
    return np.sort(rng.choice(users, min(N_USERS, len(users)), replace=False))
