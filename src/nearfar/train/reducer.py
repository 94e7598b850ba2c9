"""Reducers, which combine the sums and gradients of the processes that share a batch.

A training step is the same for one process and for several that share the users of every batch;
only the reducer of `TrainingState` differs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.train.optimiser import Optimiser


class Reducer(ABC):
    """Sums over the processes that share the users of a batch."""

    @abstractmethod
    def means(
        self, terms: dict[str, Float[Tensor, ""]], rows: Rows
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the means over the users of the whole batch.

        Args:
            terms: means over the users of this process.
            rows: histories of the users of this process.
        """

    @abstractmethod
    def sums(self, values: Tensor) -> Tensor:
        """Return the sums over all processes; `values` may be overwritten."""

    @abstractmethod
    def reduce_gradients(self, optimiser: Optimiser, rows: Rows) -> None:
        """Replace the gradients by those of the mean over the whole batch, in place.

        Args:
            optimiser: the optimiser that holds the gradients.
            rows: histories of the users of this process.
        """


class LocalReducer(Reducer):
    """The reducer of a single process: there is nothing to sum."""

    def means(
        self, terms: dict[str, Float[Tensor, ""]], rows: Rows
    ) -> dict[str, Float[Tensor, ""]]:
        return terms

    def sums(self, values: Tensor) -> Tensor:
        return values

    def reduce_gradients(self, optimiser: Optimiser, rows: Rows) -> None:
        pass
