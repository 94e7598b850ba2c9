"""Batches of a training whose users are distributed over several workers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.cluster.team import Team
from nearfar.kernels.rows import Rows, WholeBatch, gather_rows
from nearfar.train.feed import Feed
from nearfar.vae.neighbours import sample_users


class SharedFeed:
    """Yields this worker's part of every batch, in step with the other workers.

    All workers derive the order of all users from the seed, and each trains on the users of a batch
    that it holds. So a batch has the same users as in one process, for any number of workers; the
    workers' parts of it have nearly the same size. Each worker holds a contiguous range of the
    users and batches are sorted, so its part is a contiguous range of the batch too.

    Args:
        x: this worker's users x items.
        device: device of the batches.
        team: the workers.
        with_items: add the items of all parts to each batch, which sampled likelihoods need.
    """

    def __init__(self, x: csr_array, device: torch.device, team: Team, *, with_items: bool) -> None:
        self.x = x
        self.feed = Feed(x, device, present_items=True)
        self.team = team
        self.with_items = with_items
        n_users = team.gather(np.array([x.shape[0]]))[:, 0]
        self.first_user = int(n_users[: team.rank].sum())
        self.n_users = int(n_users.sum())

    def batches(self, order: np.ndarray, batch_size: int, first: int = 0) -> Iterator[Rows]:
        """Yield this worker's part of the batches of the users `order`, from batch `first` on."""
        order = order[first * batch_size :]
        n_batches = -(-len(order) // batch_size)
        if not n_batches:  # resumed from a checkpoint after the last step of a pass
            return
        local = np.flatnonzero(
            (order >= self.first_user) & (order < self.first_user + self.x.shape[0])
        )
        users, batch = order[local] - self.first_user, local // batch_size
        sizes = np.bincount(batch, minlength=n_batches)
        lengths = np.diff(self.x.indptr)[users]
        entries = np.bincount(batch, lengths, n_batches).astype(np.int64)
        counts = self.team.gather(np.stack([sizes, entries]))
        before, total = counts[: self.team.rank].sum(0), counts.sum(0)
        local_batches = (np.sort(part) for part in np.split(users, np.cumsum(sizes)[:-1]))
        for number, rows in enumerate(self.feed.each(local_batches)):
            items = self._items_of_all(rows) if self.with_items else None
            yield rows.within(
                WholeBatch(
                    n_users=int(total[0, number]),
                    n_entries=int(total[1, number]),
                    first_user=int(before[0, number]),
                    first_entry=int(before[1, number]),
                    items=items,
                )
            )

    def sample(self, seed: int) -> Rows:
        """Return the histories of a sample of all users, the same on every worker."""
        sample = sample_users(np.arange(self.n_users), seed)
        end = self.first_user + self.x.shape[0]
        local = sample[(sample >= self.first_user) & (sample < end)] - self.first_user
        indices, indptr = gather_rows(self.x.indices, self.x.indptr, local)
        lengths = self.team.join(np.diff(indptr))
        limits = np.concatenate([[0], np.cumsum(lengths)])
        parts = (self.team.join(indices), limits)
        tensors = (torch.from_numpy(part).to(self.team.device) for part in parts)
        return Rows(*tensors, n_items=self.x.shape[1])

    def _items_of_all(self, rows: Rows) -> Int64[Tensor, " present"]:
        present = torch.zeros(rows.n_items, dtype=torch.uint8, device=rows.indices.device)
        present[rows.indices] = 1
        return self.team.max_all(present).nonzero()[:, 0]
