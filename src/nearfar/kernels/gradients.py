"""Where the gradients of large parameters are gathered: only rows that a batch touches are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.kernels.memory import zeros_like

ATTRIBUTE = "nearfar_gradient"


@runtime_checkable
class Gradient(Protocol):
    """The gradient of one parameter, gathered during a backward pass.

    A parameter that none is attached to gets an ordinary dense gradient from autograd.
    """

    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        """Add `values` to the gradient's rows `items`, each of which comes once."""
        ...

    def overwritten(self) -> Tensor | None:
        """Memory of the whole gradient, to be written in full; None if it holds something."""
        ...


class Table(nn.Module):
    """A module with large parameters, one row an item, whose gradients may be gathered apart.

    Class attributes:
        tables: their names.
    """

    tables: ClassVar[tuple[str, ...]] = ()


def tables(module: nn.Module) -> Iterator[nn.Parameter]:
    """The large parameters of a module and all that are within it."""
    for part in module.modules():
        if isinstance(part, Table):
            yield from (getattr(part, name) for name in part.tables)


def attach(parameter: Tensor, gradient: Gradient) -> None:
    """From now on `parameter`'s gradient goes to `gradient` instead of `parameter.grad`."""
    setattr(parameter, ATTRIBUTE, gradient)


def detach(parameter: Tensor) -> None:
    """The inverse of `attach`; nothing happens where none is attached."""
    if hasattr(parameter, ATTRIBUTE):
        delattr(parameter, ATTRIBUTE)


def attached(parameter: Tensor) -> Gradient | None:
    """The gradient attached to `parameter`, if there is one."""
    return getattr(parameter, ATTRIBUTE, None)


class DenseGradient:
    """A gradient of the parameter's own shape, in memory that is kept from step to step.

    Fresh memory costs more than writing to it: 48 MB at MovieLens-20M's size, twice a step. So
    the memory stays, and `clear` zeroes only rows that were written.
    """

    def __init__(self, parameter: Tensor) -> None:
        self._values = zeros_like(parameter)
        self._touched: list[Int64[Tensor, " rows"]] = []
        self._whole = False
        self._stale = False

    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        if self._stale:
            self._values.zero_()
            self._stale = False
        self._values.index_add_(0, items, values)
        self._touched.append(items)

    def overwritten(self) -> Tensor | None:
        if self._touched or self._whole:
            return None
        self._whole, self._stale = True, False
        return self._values

    def gathered(self) -> Tensor | None:
        """The gradient since `clear`, or None where nothing was added."""
        return self._values if self._touched or self._whole else None

    def clear(self) -> None:
        """Forget what was gathered."""
        if self._whole:
            self._stale = True  # it will be overwritten again: zeroing would be lost work
        else:
            for items in self._touched:
                self._values.index_fill_(0, items, 0)
        self._touched.clear()
        self._whole = False


class RowGradient:
    """A gradient as the rows that were touched and their values: for tables too large to zero."""

    def __init__(self) -> None:
        self._pieces: list[tuple[Tensor, Tensor]] = []

    def add_rows(
        self, items: Int64[Tensor, " rows"], values: Float[Tensor, "rows columns"]
    ) -> None:
        self._pieces.append((items, values))

    def overwritten(self) -> Tensor | None:
        return None

    def gathered(self) -> tuple[Tensor, Tensor] | None:
        """Rows in ascending order and their values since `clear`, or None."""
        if len(self._pieces) < 2:
            return self._pieces[0] if self._pieces else None
        items, inverse = torch.unique(
            torch.cat([items for items, _ in self._pieces]), return_inverse=True
        )
        values = torch.cat([values for _, values in self._pieces])
        return items, values.new_zeros(len(items), values.shape[1]).index_add_(0, inverse, values)

    def clear(self) -> None:
        """Forget what was gathered."""
        self._pieces.clear()
