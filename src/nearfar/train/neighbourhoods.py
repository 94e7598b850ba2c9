"""Whether users keep their neighbours from epoch to epoch."""

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
        x: training users x items.
        users: rows that may be drawn, those with items.
        seed: what the sample is drawn by.
        device: where the network is.
    """

    def __init__(
        self, x: csr_array, users: np.ndarray, seed: int, device: torch.device | str
    ) -> None:
        n = min(N_USERS, len(users))
        rng = generator(seed, "neighbourhoods")
        self.rows = Rows.from_csr(x, np.sort(rng.choice(users, n, replace=False)), device)
        self.k = min(K_NEIGHBOURS, n // 2)
        self.last: Int64[Tensor, "users k"] | None = None

    @torch.no_grad()
    def kept(self, network: VAE) -> float | None:
        """Which share of their ten nearest neighbours the users kept since the last time.

        None the first time, or where there are too few users.
        """
        if self.rows.n_users < FEWEST_USERS:
            return None
        before, self.last = self.last, nearest(network.encode(self.rows).mu, self.k)
        return None if before is None else float(overlap(before, self.last).mean())
