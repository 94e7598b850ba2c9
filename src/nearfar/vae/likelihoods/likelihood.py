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
    """Counts of the training data, known before training.

    Attributes:
        item_counts: number of training users who interacted with each item.
        n_users: number of training users.

    Examples:
        >>> from nearfar.vae.likelihoods.likelihood import TrainingCounts
        >>> TrainingCounts(split.train.item_counts, split.train.n_users).n_items
        20
    """

    item_counts: Int[np.ndarray, " items"]
    n_users: int

    @property
    def n_items(self) -> int:
        return len(self.item_counts)


class Likelihood(Settings, ABC):
    """The likelihood p(x|z), whose negative logarithm is a term of the objective.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Poisson(nf.Likelihood):
        ...     def term(self, catalogue):
        ...         return poisson
        >>> def poisson(step):
        ...     scores, rows = step.logits, step.histories
        ...     positive_sums = torch.zeros(rows.n_users).index_add(
        ...         0, rows.users, scores[rows.users, rows.indices]
        ...     )
        ...     return scores.exp().sum(dim=1) - positive_sums
        >>> algorithm = nf.MultVAE(likelihood=Poisson(), epochs=1, **small)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    @abstractmethod
    def term(self, catalogue: TrainingCounts) -> Term:
        """Return the term -log p(x|z) in nats per user, or an estimate of it."""
