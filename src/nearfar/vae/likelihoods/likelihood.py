"""The interface of a likelihood."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from nearfar.core.settings import Settings
from nearfar.vae.step import Term


@dataclass(frozen=True, eq=False)
class TrainingCounts:
    """What is known of the training data before training.

    Attributes:
        item_counts: how many training users interacted with each item.
        n_users: how many training users there are.
    """

    item_counts: Int[np.ndarray, " items"]
    n_users: int

    @property
    def n_items(self) -> int:
        return len(self.item_counts)


class Likelihood(Settings, ABC):
    """p(x|z), by its negative logarithm as a term of the objective."""

    @abstractmethod
    def term(self, catalogue: TrainingCounts) -> Term:
        """-log p(x|z) in nats per user, or an estimate of it."""
