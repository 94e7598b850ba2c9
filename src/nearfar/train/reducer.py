"""Reducers: how a step's sums and gradients become those of the whole batch.

A training step is the same for one process and for several that share the users of every batch.
What differs is the reducer that `State` is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.train.optimiser import Optimiser


class Reducer(ABC):
    """What is summed over the processes that share the users of a batch."""

    @abstractmethod
    def means(
        self, terms: dict[str, Float[Tensor, ""]], rows: Rows
    ) -> dict[str, Float[Tensor, ""]]:
        """Return the means over the users of the whole batch.

        Args:
            terms: means over the users of this process.
            rows: of this process.
        """

    @abstractmethod
    def sums(self, values: Tensor) -> Tensor:
        """Return the sums over all processes; `values` may be overwritten."""

    @abstractmethod
    def reduce_gradients(self, optimiser: Optimiser, rows: Rows) -> None:
        """Make the gradients those of the mean over the whole batch, in place.

        Args:
            optimiser: whose gradients they are.
            rows: of this process.
        """


class LocalReducer(Reducer):
    """One process has all users: nothing is left to be summed."""

    def means(
        self, terms: dict[str, Float[Tensor, ""]], rows: Rows
    ) -> dict[str, Float[Tensor, ""]]:
        return terms

    def sums(self, values: Tensor) -> Tensor:
        return values

    def reduce_gradients(self, optimiser: Optimiser, rows: Rows) -> None:
        pass
