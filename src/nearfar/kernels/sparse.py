"""Products with sparse rows, whose backward pass touches only the rows that are present."""

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
    """Sparse rows with a value per entry: the inputs of the encoder.

    If sizes are fixed, the values of hidden entries are 0 (see `Rows`).
    """

    rows: Rows
    values: Float[Tensor, " nnz"]

    def thin(self, mask: Bool[Tensor, " nnz"], scale: float = 1.0) -> WeightedRows:
        """Return the entries where `mask` is true, times `scale`."""
        if self.rows.fixed:
            return WeightedRows(self.rows, self.values * mask * scale)
        return WeightedRows(self.rows.where(mask), self.values[mask] * scale)

    @property
    def shown(self) -> Bool[Tensor, " nnz"]:
        """Whether an entry is visible to the encoder; False if it is hidden but still stored."""
        return self.values != 0

    @property
    def counts(self) -> Int64[Tensor, " users"]:
        """Number of each user's entries that are visible to the encoder."""
        if not self.rows.fixed:
            return self.rows.counts
        return torch.zeros_like(self.rows.counts).index_add_(0, self.rows.users, self.shown.long())

    def part(self, start: int, end: int) -> WeightedRows:
        """Return the rows from position `start` to before `end`."""
        low, high = self.rows.limits[start], self.rows.limits[end]
        return WeightedRows(self.rows.part(start, end), self.values[low:high])

    def product(self, weight: Float[Tensor, "items hidden"]) -> Float[Tensor, "users hidden"]:
        """Return the product of the rows with `weight`; `values` get no gradient.

        Forward and backward pass touch only the rows of `weight` that are present.
        """
        return row_product(weight, self.rows, self.values)


def mean_of_rows(
    rows: Rows, weight: Float[Tensor, "items latent"]
) -> Float[Tensor, "users latent"]:
    """Return the mean of the rows of `weight` in each user's set S; zero if S is empty."""
    values = rows.counts.clamp(min=1).to(weight.dtype).reciprocal()[rows.users]
    return row_product(weight, rows, values)


def rows_present(
    rows: Rows, weight: Float[Tensor, "items latent"]
) -> Float[Tensor, "present latent"]:
    """Return the rows `rows.by_item.items` of `weight`, the items that are present."""
    return selected_rows(weight, rows.by_item.items)


def row_product(
    weight: Float[Tensor, "items hidden"], rows: Rows, values: Float[Tensor, " nnz"]
) -> Float[Tensor, "users hidden"]:
    """Return X W for sparse rows X with these values."""
    return _RowProduct.apply(weight, rows, values)  # pyright: ignore[reportReturnType]


def selected_rows(
    weight: Float[Tensor, "items hidden"], items: Int64[Tensor, " present"]
) -> Float[Tensor, "present hidden"]:
    """Return the rows `items` of W; items must be distinct."""
    return _SelectedRows.apply(weight, items)  # pyright: ignore[reportReturnType]


class _RowProduct(torch.autograd.Function):
    """Computes X W, and the gradient X' G of W by the same product with the transposed rows."""

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
    """Return the product of a CSR matrix, given by its arrays, with `weight`; without gradients."""
    return torch.nn.functional.embedding_bag(
        indices, weight, indptr, mode="sum", per_sample_weights=values, include_last_offset=True
    )


def _row_gradient(weight: Tensor, items: Tensor, values: Tensor) -> Tensor | None:
    gradient = gradient_of(weight)
    if gradient is None:
        return torch.zeros_like(weight).index_copy_(0, items, values)
    gradient.add_rows(items, values)
    return None
