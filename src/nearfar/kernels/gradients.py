"""Tables, which are large parameters with one row per item, and their gradients.

A batch touches few rows of a table. Therefore its gradient is not stored by autograd, but in memory
that is reused from step to step, or as the touched rows only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from nearfar.kernels.memory import zeros_like


class Gradient(ABC):
    """The gradient of one table since it was last cleared.

    Args:
        table: the table; only its shape, dtype and device are used.
    """

    def __init__(self, table: Tensor) -> None:
        self.shape = tuple(table.shape)
        self.dtype = table.dtype
        self.device = table.device
        self._touched: list[Int64[Tensor, " rows"]] = []

    @abstractmethod
    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        """Add `values` to the gradient's rows `items`, which are distinct."""

    @abstractmethod
    def replace(self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]) -> None:
        """Set the gradient to `values` in the rows `items` and to zero elsewhere.

        The rows are in ascending order and include all rows touched before.
        """

    @abstractmethod
    def rows(self, items: Int64[Tensor, " rows"]) -> Float[Tensor, "rows columns"]:
        """Return the gradient's rows `items`, which are in ascending order."""

    @abstractmethod
    def clear(self) -> None:
        """Set the gradient to zero."""

    def whole(self) -> Tensor | None:
        """Return the memory of the whole gradient, for the caller to overwrite.

        Returns None if something was added already, or if the class stores only rows.
        """
        return None

    def touched(self) -> UInt8[Tensor, " items"]:
        """Return 1 for every row to which something was added, else 0."""
        flags = torch.zeros(self.shape[0], dtype=torch.uint8, device=self.device)
        for items in self._touched:
            flags[items] = 1
        return flags


class ParameterTable(nn.Parameter):
    """A large parameter with one row per item, and the object that receives its gradient.

    Attributes:
        gradient: receives gradients of rows from kernels; None for autograd's dense `grad`.
    """

    gradient: Gradient | None = None


def tables(module: nn.Module) -> Iterator[ParameterTable]:
    """Iterate over the tables of a module and of all modules in it."""
    return (parameter for parameter in module.parameters() if isinstance(parameter, ParameterTable))


def gradient_of(weight: Tensor) -> Gradient | None:
    """Return the object that receives the gradient of `weight`; None if autograd stores it."""
    return weight.gradient if isinstance(weight, ParameterTable) else None


def memory_of_gradient(weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return memory for a whole gradient, and the gradient to return to autograd.

    The latter is None if the memory is that of the table's gradient; see `Gradient.whole`.
    """
    gradient = gradient_of(weight)
    memory = None if gradient is None else gradient.whole()
    if memory is not None:
        return memory, None
    memory = torch.empty_like(weight)
    return memory, memory


class DenseGradient(Gradient):
    """A gradient with the shape of the table, in memory that is reused from step to step.

    Allocating memory costs more than writing to it: 48 MB at MovieLens-20M's size, twice per step.
    So the memory is kept, and `clear` zeroes only rows that were written.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self._values = zeros_like(table)
        self._is_whole = False
        self._is_stale = False

    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        self._zero_if_stale()
        self._values.index_add_(0, items, values)
        self._touched.append(items)

    def replace(self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]) -> None:
        self._zero_if_stale()
        self._is_whole = len(items) == self.shape[0]
        self._touched = [] if self._is_whole else [items]
        if values.data_ptr() != self._values.data_ptr():
            self._values.index_copy_(0, items, values)

    def rows(self, items: Int64[Tensor, " rows"]) -> Float[Tensor, "rows columns"]:
        self._zero_if_stale()
        return self._values if len(items) == self.shape[0] else self._values[items]

    def whole(self) -> Tensor | None:
        if self._touched or self._is_whole:
            return None
        self._is_whole, self._is_stale = True, False
        return self._values

    def touched(self) -> UInt8[Tensor, " items"]:
        flags = super().touched()
        return flags.fill_(1) if self._is_whole else flags

    def gathered(self) -> Tensor | None:
        """Return the gradient, or None if nothing was added."""
        return self._values if self._touched or self._is_whole else None

    def clear(self) -> None:
        if self._is_whole:
            self._is_stale = True  # zeroed only if it is not overwritten as a whole again
        else:
            for items in self._touched:
                self._values.index_fill_(0, items, 0)
        self._touched = []
        self._is_whole = False

    def _zero_if_stale(self) -> None:
        if self._is_stale:
            self._values.zero_()
            self._is_stale = False


class RowGradient(Gradient):
    """A gradient stored as the touched rows and their values, for tables too large to zero."""

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self._values: list[Float[Tensor, "rows columns"]] = []

    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        self._touched.append(items)
        self._values.append(values)

    def replace(self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]) -> None:
        self._touched, self._values = ([items], [values]) if len(items) else ([], [])

    def rows(self, items: Int64[Tensor, " rows"]) -> Float[Tensor, "rows columns"]:
        gathered = self.gathered()
        result = torch.zeros(len(items), self.shape[1], dtype=self.dtype, device=self.device)
        if gathered is not None:
            result.index_copy_(0, torch.searchsorted(items, gathered[0]), gathered[1])
        return result

    def gathered(self) -> tuple[Tensor, Tensor] | None:
        """Return the touched rows in ascending order and their values, or None without any."""
        if len(self._touched) < 2:
            return (self._touched[0], self._values[0]) if self._touched else None
        items, inverse = torch.unique(torch.cat(self._touched), return_inverse=True)
        values = torch.cat(self._values)
        return items, values.new_zeros(len(items), values.shape[1]).index_add_(0, inverse, values)

    def clear(self) -> None:
        self._touched, self._values = [], []
