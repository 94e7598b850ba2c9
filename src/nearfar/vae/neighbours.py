"""Who is near whom in a latent space, and how much of that stays."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.core.seeding import generator
from nearfar.kernels.rows import Rows
from nearfar.vae.network import VAE

BLOCK_USERS = 1024

N_USERS = 256

K_NEIGHBOURS = 10

FEWEST_USERS = 4


@torch.no_grad()
def nearest(mu: Float[Tensor, "users latent"], k: int) -> Int64[Tensor, "users k"]:
    """Positions of the k nearest other users of each, by Euclidean distance, nearest first.

    Memory is 1024 x users, time users^2 x latent.

    Raises: SettingsError where k is below 1 or there are no k others.
    """
    n_users = len(mu)
    if not 0 < k < n_users:
        raise SettingsError(f"k is {k}; of {n_users} users it must be between 1 and {n_users - 1}")
    points = mu.double()
    points = points - points.mean(0)  # the nearer to the origin, the less cancels
    squares = points.square().sum(1)
    found = []
    for start in range(0, n_users, BLOCK_USERS):
        part = points[start : start + BLOCK_USERS]
        squared = squares - 2 * part @ points.T
        own = torch.arange(len(part), device=mu.device)
        squared[own, start + own] = torch.inf
        found.append(torch.topk(squared, k, largest=False).indices)
    return torch.cat(found)


def overlap(
    before: Int64[Tensor, "users k"], after: Int64[Tensor, "users k"]
) -> Float64[Tensor, " users"]:
    """Which share of a user's k nearest neighbours is the same in two latent spaces.

    1 where all are, k / (users - 1) on average where one space tells nothing of the other.
    """
    same = (before[:, :, None] == after[:, None, :]).any(2)
    return same.double().mean(1)


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
