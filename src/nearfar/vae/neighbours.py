"""Who is near whom in a latent space, and how much of that stays."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from nearfar.core.errors import SettingsError

BLOCK_USERS = 1024


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
