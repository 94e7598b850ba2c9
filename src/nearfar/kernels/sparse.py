"""Products with sparse rows whose backward pass touches only the rows present."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from nearfar.kernels.gradients import gradient_of
from nearfar.kernels.rows import Rows


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """What the encoder reads: sparse rows with a value at every index.

    Where sizes are fixed, values of hidden entries are 0 (see `Rows`).
    """

    rows: Rows
    values: Float[Tensor, " nnz"]

    def thin(self, kept: Bool[Tensor, " nnz"], scale: float = 1.0) -> WeightedRows:
        """The entries where `kept` is true, times `scale`."""
        if self.rows.fixed:
            return WeightedRows(self.rows, self.values * kept * scale)
        return WeightedRows(self.rows.where(kept), self.values[kept] * scale)

    @property
    def shown(self) -> Bool[Tensor, " nnz"]:
        """Whether the encoder reads an entry; False for those that are hidden but still there."""
        return self.values != 0

    @property
    def counts(self) -> Int64[Tensor, " users"]:
        """How many of each user's entries the encoder reads."""
        if not self.rows.fixed:
            return self.rows.counts
        return torch.zeros_like(self.rows.counts).index_add_(0, self.rows.users, self.shown.long())

    def part(self, start: int, end: int) -> WeightedRows:
        """The users from position `start` to before `end`."""
        low, high = self.rows.limits[start], self.rows.limits[end]
        return WeightedRows(self.rows.part(start, end), self.values[low:high])

    def product(self, weight: Float[Tensor, "items hidden"]) -> Float[Tensor, "users hidden"]:
        """The sparse-dense product of the rows with `weight`: a weighted sum of its rows.

        Forward and backward touch only the rows of `weight` that are present; `values` get no
        gradient.
        """
        return row_product(weight, self.rows, self.values)


def mean_of_rows(
    rows: Rows, weight: Float[Tensor, "items latent"]
) -> Float[Tensor, "users latent"]:
    """The mean of `weight` over each user's set S; zero where S is empty."""
    values = rows.counts.clamp(min=1).to(weight.dtype).reciprocal()[rows.users]
    return row_product(weight, rows, values)


def rows_present(
    rows: Rows, weight: Float[Tensor, "items latent"]
) -> Float[Tensor, "present latent"]:
    """The rows of `weight` whose items somebody has, in the order of `rows.by_item.items`."""
    return selected_rows(weight, rows.by_item.items)


def row_product(
    weight: Float[Tensor, "items hidden"], rows: Rows, values: Float[Tensor, " nnz"]
) -> Float[Tensor, "users hidden"]:
    """X W for sparse rows X with these values, as a sum of W's rows."""
    return _RowProduct.apply(weight, rows, values)  # pyright: ignore[reportReturnType]


def selected_rows(
    weight: Float[Tensor, "items hidden"], items: Int64[Tensor, " present"]
) -> Float[Tensor, "present hidden"]:
    """The rows `items` of W, each of which comes once."""
    return _SelectedRows.apply(weight, items)  # pyright: ignore[reportReturnType]


class _RowProduct(torch.autograd.Function):
    """X W, and for W the gradient X' G: the same product with the transposed rows."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, rows: Rows, values: Tensor) -> Tensor:
        ctx.rows, ctx.weight = rows, weight
        ctx.save_for_backward(values)
        return weighted_sums(weight, rows.indices, rows.indptr, values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None, None]:
        (values,) = ctx.saved_tensors
        by_item = ctx.rows.by_item
        sums = weighted_sums(
            grads[0].contiguous(), by_item.users, by_item.indptr, values[by_item.order]
        )
        return _row_gradient(ctx.weight, by_item.items, sums), None, None


class _SelectedRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, items: Tensor) -> Tensor:
        ctx.items, ctx.weight = items, weight
        return weight.index_select(0, items)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None]:
        return _row_gradient(ctx.weight, ctx.items, grads[0]), None


def weighted_sums(weight: Tensor, indices: Tensor, indptr: Tensor, values: Tensor) -> Tensor:
    """The product of a CSR matrix, given by its parts, with `weight`; no gradients."""
    return torch.nn.functional.embedding_bag(
        indices, weight, indptr, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def _row_gradient(weight: Tensor, items: Tensor, values: Tensor) -> Tensor | None:
    gradient = gradient_of(weight)
    if gradient is None:
        return torch.zeros_like(weight).index_copy_(0, items, values)
    gradient.add_rows(items, values)
    return None
