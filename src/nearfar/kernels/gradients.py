"""Tables, the large parameters of one row per item, and where their gradients are gathered.

A batch touches few rows of a table. Its gradient is therefore gathered beside autograd, in memory
that is kept from step to step or as the touched rows alone.
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
        table: the table; its shape, dtype and device are read, never its values.
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
        """Add `values` to the gradient's rows `items`, each of which comes once."""

    @abstractmethod
    def replace(self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]) -> None:
        """Set the gradient to `values` in the rows `items` and to zero elsewhere.

        The rows are in ascending order, and all rows touched before are among them.
        """

    @abstractmethod
    def rows(self, items: Int64[Tensor, " rows"]) -> Float[Tensor, "rows columns"]:
        """Return the gradient's rows `items`, which are in ascending order."""

    @abstractmethod
    def clear(self) -> None:
        """Set the gradient to zero."""

    def whole(self) -> Tensor | None:
        """Return memory of the whole gradient, to be overwritten; None if rows are in it already.

        None too where gradients are never held whole.
        """
        return None

    def touched(self) -> UInt8[Tensor, " items"]:
        """Return 1 for every row that something was added to, else 0."""
        flags = torch.zeros(self.shape[0], dtype=torch.uint8, device=self.device)
        for items in self._touched:
            flags[items] = 1
        return flags


class ParameterTable(nn.Parameter):
    """A large parameter with one row per item, which owns the place where its gradient goes.

    Attributes:
        gradient: where kernels add gradients of rows; None for autograd's own dense `grad`.
    """

    gradient: Gradient | None = None


def tables(module: nn.Module) -> Iterator[ParameterTable]:
    """Iterate over the tables of a module and of all modules in it."""
    return (parameter for parameter in module.parameters() if isinstance(parameter, ParameterTable))


def gradient_of(weight: Tensor) -> Gradient | None:
    """Return where the gradient of `weight` is gathered; None where autograd does it."""
    return weight.gradient if isinstance(weight, ParameterTable) else None


def memory_of_gradient(weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return memory to write a whole gradient to, and what autograd gets of it.

    That is nothing where the memory is the table's own; see `Gradient.whole`.
    """
    gradient = gradient_of(weight)
    kept = None if gradient is None else gradient.whole()
    if kept is not None:
        return kept, None
    fresh = torch.empty_like(weight)
    return fresh, fresh


class DenseGradient(Gradient):
    """A gradient of the table's own shape, in memory that is kept from step to step.

    Fresh memory costs more than writing to it: 48 MB at MovieLens-20M's size, twice per step. So
    the memory stays, and `clear` zeroes only rows that were written.
    """

    def __init__(self, table: Tensor) -> None:
        super().__init__(table)
        self._values = zeros_like(table)
        self._is_whole = False
        self._is_stale = False

    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        self._freshen()
        self._values.index_add_(0, items, values)
        self._touched.append(items)

    def replace(self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]) -> None:
        self._freshen()
        self._is_whole = len(items) == self.shape[0]
        self._touched = [] if self._is_whole else [items]
        if values.data_ptr() != self._values.data_ptr():
            self._values.index_copy_(0, items, values)

    def rows(self, items: Int64[Tensor, " rows"]) -> Float[Tensor, "rows columns"]:
        self._freshen()
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
        """Return the gradient, or None where nothing was added."""
        return self._values if self._touched or self._is_whole else None

    def clear(self) -> None:
        if self._is_whole:
            self._is_stale = True  # it will be overwritten again: zeroing would be lost work
        else:
            for items in self._touched:
                self._values.index_fill_(0, items, 0)
        self._touched = []
        self._is_whole = False

    def _freshen(self) -> None:
        if self._is_stale:
            self._values.zero_()
            self._is_stale = False


class RowGradient(Gradient):
    """A gradient as the touched rows and their values: for tables too large to zero."""

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
        """Return the touched rows in ascending order and their values, or None."""
        if len(self._touched) < 2:
            return (self._touched[0], self._values[0]) if self._touched else None
        items, inverse = torch.unique(torch.cat(self._touched), return_inverse=True)
        values = torch.cat(self._values)
        return items, values.new_zeros(len(items), values.shape[1]).index_add_(0, inverse, values)

    def clear(self) -> None:
        self._touched, self._values = [], []
