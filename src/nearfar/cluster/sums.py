"""What is known of an epoch, over the users of all workers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.cluster.team import Team
from nearfar.core.seeding import generator
from nearfar.kernels.rows import Rows, gather_rows
from nearfar.train.means import Means
from nearfar.train.neighbourhoods import K_NEIGHBOURS, N_USERS, Neighbourhoods
from nearfar.vae.information import Information
from nearfar.vae.posterior import DiagonalGaussian


class SharedMeans(Means):
    """Means over the users of all workers."""

    def __init__(self, device: torch.device, team: Team) -> None:
        super().__init__(device)
        self._team = team

    def add(self, terms: Mapping[str, Tensor], n_users: int) -> None:
        """A step's means over this worker's users, of which there may be none."""
        sums = torch.stack(list(terms.values())).double() * n_users
        means = self._team.add_up(sums) / self._team.all_users
        super().add(dict(zip(terms, means, strict=True)), self._team.all_users)


class SharedInformation(Information):
    """What each latent dimension tells, from the users of all workers."""

    def __init__(self, n_latent: int, team: Team) -> None:
        super().__init__(n_latent)
        self._team = team
        self._own = Information(n_latent)

    @torch.no_grad()
    def add(self, q: DiagonalGaussian | None) -> None:
        """Some more users, of which None are this worker's."""
        self._own.clear()
        if q is not None:
            self._own.add(q)
        self.sums += self._team.add_up(self._own.sums)
        self.n_users += self._team.all_users


class SharedNeighbourhoods(Neighbourhoods):
    """The same sample of all users on every worker.

    Args:
        x: this worker's users x items.
        first_user: the position of the first of them among all.
        n_users: all users.
        seed: what the sample is drawn by.
        team: the workers.
    """

    def __init__(self, x: csr_array, first_user: int, n_users: int, seed: int, team: Team) -> None:
        n = min(N_USERS, n_users)
        drawn = np.sort(generator(seed, "neighbourhoods").choice(n_users, n, replace=False))
        own = drawn[(drawn >= first_user) & (drawn < first_user + x.shape[0])] - first_user
        indices, indptr = gather_rows(x.indices, x.indptr, own)
        lengths = team.join(np.diff(indptr))
        limits = np.concatenate([[0], np.cumsum(lengths)])
        all_indices = team.join(indices)
        tensors = (torch.from_numpy(a).to(team.device) for a in (all_indices, limits))
        self.rows = Rows(*tensors, n_items=x.shape[1])
        self.k = min(K_NEIGHBOURS, n // 2)
        self.last = None
