"""Statistics of the training data that default settings are computed from: sizes and structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from nearfar.core.seeding import generator
from nearfar.data.interactions import Interactions

SAMPLED_USERS = 2_000
"""Overlaps with all users are counted for at most this many users."""

BLOCK_OVERLAPS = 10_000_000
"""Overlaps held in memory at once."""

LEAST_EXCESS = 0.05
"""The least structure that is assumed, also where items seem independent."""


@dataclass(frozen=True)
class Statistics:
    """Sizes of the training data, and how much structure they have.

    Args:
        n_users: users with at least one interaction.
        n_items: items with at least one interaction.
        n_interactions: interactions.
        excess: squared difference of the co-occurrence counts from those of independent items,
            relative to what chance alone gives; 0 for independent items.
    """

    n_users: int
    n_items: int
    n_interactions: int
    excess: float

    @property
    def rank(self) -> int:
        """The largest rank that the matrix of users x items can have."""
        return min(self.n_users, self.n_items)

    @classmethod
    def of(cls, train: Interactions) -> Statistics:
        """Return the statistics of at least one training interaction."""
        return cls(
            n_users=int(np.count_nonzero(np.diff(train.x.indptr))),
            n_items=int(np.count_nonzero(train.item_counts)),
            n_interactions=train.n_interactions,
            excess=excess_of(train),
        )

    @property
    def history(self) -> float:
        """Interactions per user."""
        return self.n_interactions / self.n_users

    @property
    def longer_side(self) -> float:
        """Interactions per user, or per item if there are more items than users."""
        return self.n_interactions / max(self.n_users, self.n_items)

    @property
    def noise(self) -> float:
        """The largest singular value that independent entries of this density would have.

        (sqrt(users) + sqrt(items)) sqrt(density), the edge of Marchenko and Pastur.
        """
        density = self.n_interactions / (self.n_users * self.n_items)
        return (self.n_users**0.5 + self.n_items**0.5) * density**0.5


def excess_of(train: Interactions) -> float:
    """Return how much co-occurrence exceeds chance.

    With G = X'X, c the item counts and n_u the history lengths, independent items would have
    E_ij = f c_i c_j with f = sum_u n_u (n_u - 1) / (sum_u n_u)^2, and (G_ij - E_ij)^2 about E_ij:
    excess = sum_{i != j} (G_ij - E_ij)^2 / sum_{i != j} E_ij - 1. G itself is not needed: with
    o_uv the number of items that two users share, sum_{i != j} G_ij^2 = sum_{u, v} o_uv (o_uv - 1),
    over a sample of users u where there are more than `SAMPLED_USERS`. The sample depends on the
    ids of the users, not on their order.

    Args:
        train: training interactions, users x items.

    Returns:
        At least `LEAST_EXCESS`.
    """
    x, counts = train.x, train.item_counts.astype(np.float64)
    lengths = np.diff(x.indptr).astype(np.float64)
    pairs, total = float((lengths * (lengths - 1)).sum()), float(lengths.sum())
    if pairs == 0:
        return LEAST_EXCESS
    factor = pairs / total**2
    squares = (counts**2).sum()
    expected = factor * (total**2 - squares)
    expected_squares = factor**2 * (squares**2 - (counts**4).sum())
    per_user = x @ counts
    mixed = factor * float((per_user**2).sum() - (x @ counts**2).sum())
    chance_free = _squared_overlaps(train) - 2 * mixed + expected_squares
    return max(LEAST_EXCESS, chance_free / expected - 1) if expected > 0 else LEAST_EXCESS


def _squared_overlaps(train: Interactions) -> float:
    """Return sum_{u, v} o_uv (o_uv - 1), scaled up from a sample of users u."""
    users = np.flatnonzero(np.diff(train.x.indptr))
    if len(users) > SAMPLED_USERS:
        by_id = users[train.user_ids.ids.gather(users).arg_sort().to_numpy()]
        rng = generator(0, "overlaps")
        sample = by_id[np.sort(rng.choice(len(users), SAMPLED_USERS, replace=False))]
    else:
        sample = users
    transposed = csr_array(train.x.T)
    sums = 0.0
    block = max(1, BLOCK_OVERLAPS // train.n_users)
    for start in range(0, len(sample), block):
        overlaps = (train.x[sample[start : start + block]] @ transposed).data.astype(float)
        sums += float((overlaps * (overlaps - 1)).sum())
    return sums * len(users) / len(sample)
