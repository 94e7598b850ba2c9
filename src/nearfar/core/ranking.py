"""What a model hands out: for every user the best k items, best first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best k items of every user, best first; ties go to the lower item index.

    Where a user has fewer than k candidates the row ends in -1, with score -inf.
    """

    items: Int[np.ndarray, "users k"]
    scores: Float[np.ndarray, "users k"]

    @property
    def n_users(self) -> int:
        return self.items.shape[0]

    @property
    def k(self) -> int:
        return self.items.shape[1]
