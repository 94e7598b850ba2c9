"""What defaults are computed from: the size and the shape of the training data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.data.interactions import Interactions


@dataclass(frozen=True)
class Statistics:
    """Sizes of the training data.

    Args:
        n_users: users with at least one interaction.
        n_items: items with at least one interaction.
        n_interactions: interactions.
        squared_history: mean over users of the squared number of interactions.
    """

    n_users: int
    n_items: int
    n_interactions: int
    squared_history: float

    @classmethod
    def of(cls, train: Interactions) -> Statistics:
        """Return the statistics of training interactions."""
        lengths = np.diff(train.x.indptr)
        lengths = lengths[lengths > 0].astype(np.float64)
        return cls(
            n_users=len(lengths),
            n_items=int(np.count_nonzero(train.item_counts)),
            n_interactions=train.n_interactions,
            squared_history=float((lengths**2).mean()) if len(lengths) else 0.0,
        )

    @property
    def history(self) -> float:
        """Mean number of interactions per user."""
        return self.n_interactions / self.n_users

    @property
    def density(self) -> float:
        """Share of all pairs of a user and an item that are interactions."""
        return self.n_interactions / (self.n_users * self.n_items)
