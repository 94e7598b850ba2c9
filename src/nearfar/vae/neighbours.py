"""Nearest neighbours of users in a latent space, and how many of them are kept over training."""

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
"""Users whose distances to all others are computed at once."""

N_USERS = 256
"""Users in the sample of `Neighbourhoods`."""

K_NEIGHBOURS = 10

FEWEST_USERS = 4
"""With fewer users, `Neighbourhoods` measures nothing."""


@torch.no_grad()
def nearest(mu: Float[Tensor, "users latent"], k: int) -> Int64[Tensor, "users k"]:
    """Return the positions of each user's k nearest other users, the nearest first.

    Distances are Euclidean. Memory is 1024 x users, time is users^2 x latent.

    Raises:
        SettingsError: k is below 1, or there are fewer than k other users.
    """
    n_users = len(mu)
    if not 0 < k < n_users:
        raise SettingsError(f"k is {k}; of {n_users} users it must be between 1 and {n_users - 1}")
    points = mu.double()
    points = points - points.mean(0)  # less cancellation below, as squared lengths are smaller
    squares = points.square().sum(1)
    neighbours = []
    for start in range(0, n_users, BLOCK_USERS):
        block = points[start : start + BLOCK_USERS]
        distances = squares - 2 * block @ points.T
        rows = torch.arange(len(block), device=mu.device)
        distances[rows, start + rows] = torch.inf  # a user is no neighbour of itself
        neighbours.append(torch.topk(distances, k, largest=False).indices)
    return torch.cat(neighbours)


def overlap(
    before: Int64[Tensor, "users k"], after: Int64[Tensor, "users k"]
) -> Float64[Tensor, " users"]:
    """Return the share of each user's k nearest neighbours that two latent spaces have in common.

    For unrelated spaces it is k / (users - 1) on average.
    """
    same = (before[:, :, None] == after[:, None, :]).any(2)
    return same.double().mean(1)


class Neighbourhoods:
    """The nearest neighbours of a sample of training users at the end of the last epoch.

    Args:
        rows: histories of the sample; see `sample_users`.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.k = min(K_NEIGHBOURS, rows.n_users // 2)
        self.last: Int64[Tensor, "users k"] | None = None

    @classmethod
    def of(
        cls, x: csr_array, users: np.ndarray, seed: int, device: torch.device | str
    ) -> Neighbourhoods:
        """Return the neighbourhoods of a sample of training users.

        Args:
            x: training users x items.
            users: rows of x to sample from, those with items.
            seed: random seed of the sample.
            device: the device of the network.
        """
        return cls(Rows.from_csr(x, sample_users(users, seed), device))

    @torch.no_grad()
    def kept(self, network: VAE) -> float | None:
        """Return the share of nearest neighbours that users have kept since the previous call.

        It is None in the first call, or if there are fewer than four users.
        """
        if self.rows.n_users < FEWEST_USERS:
            return None
        before, self.last = self.last, nearest(network.latents(self.rows), self.k)
        return None if before is None else float(overlap(before, self.last).mean())


def sample_users(users: np.ndarray, seed: int) -> np.ndarray:
    """Return the users whose neighbours are compared, in ascending order."""
    rng = generator(seed, "neighbourhoods")
    return np.sort(rng.choice(users, min(N_USERS, len(users)), replace=False))
