"""Updates of a large table in the rows that a batch touched."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from nearfar.kernels.memory import zeros_like

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""Adam's, as everywhere."""


class RowUpdate(ABC):
    """The state of one table's optimiser."""

    @abstractmethod
    def move(
        self,
        table: Float[Tensor, "items columns"],
        rows: Int64[Tensor, " touched"],
        gradient: Float[Tensor, "touched columns"],
        learning_rate: float,
    ) -> None:
        """Move these rows of the table in place; each row comes once."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything to go on from; the tensors themselves, not copies."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])


class LazyAdam(RowUpdate):
    """Adam that updates a row only when a batch touches it.

    Differs from Adam: the moments of rows that a batch does not touch do not decay, and the rows
    do not move on by their momentum; bias is corrected by the number of all steps. The same as
    `torch.optim.SparseAdam`.
    """

    def __init__(self, table: Tensor) -> None:
        self.mean = zeros_like(table)
        self.square = zeros_like(table)
        self.steps = torch.zeros((), dtype=torch.int64)

    def move(self, table: Tensor, rows: Tensor, gradient: Tensor, learning_rate: float) -> None:
        self.steps += 1
        n = int(self.steps)
        mean = self.mean[rows].lerp_(gradient, 1 - BETA1)
        square = self.square[rows].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        self.mean.index_copy_(0, rows, mean)
        self.square.index_copy_(0, rows, square)
        size = learning_rate * (1 - BETA2**n) ** 0.5 / (1 - BETA1**n)
        table.index_add_(0, rows, mean.div_(square.sqrt_().add_(EPS)), alpha=-size)

    def state(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "square": self.square, "steps": self.steps}


class RowAdam(RowUpdate):
    """Adam without momentum whose second moment is one number per row: no state to speak of.

    A row moves by learning_rate * g / sqrt(v), v the running mean over the row's own updates of
    its mean squared gradient, its bias corrected by their number. A table then takes its own
    memory and no more, a third of `LazyAdam`'s.
    """

    def __init__(self, table: Tensor) -> None:
        self.square = table.new_zeros(len(table))
        self.steps = torch.zeros(len(table), dtype=torch.int32, device=table.device)

    def move(self, table: Tensor, rows: Tensor, gradient: Tensor, learning_rate: float) -> None:
        steps = self.steps[rows] + 1
        square = self.square[rows].lerp_(gradient.square().mean(1), 1 - BETA2)
        self.steps.index_copy_(0, rows, steps)
        self.square.index_copy_(0, rows, square)
        unbiased = square / (1 - BETA2 ** steps.to(square.dtype))
        scale = unbiased.sqrt_().add_(EPS)
        table.index_add_(0, rows, gradient / scale[:, None], alpha=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self.square, "steps": self.steps}
