"""Sparse rows on a device: a batch of histories, from CSR to the encoder's first layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.vae.sparse import row_product, selected_rows


@dataclass(frozen=True, eq=False)
class Rows:
    """A batch of sparse rows, the sets S of positives of its users.

    Notation: `counts` = N = |S|.
    """

    indices: Int64[Tensor, " nnz"]
    indptr: Int64[Tensor, " users_plus_1"]
    n_items: int

    @property
    def n_users(self) -> int:
        return self.indptr.shape[0] - 1

    @cached_property
    def counts(self) -> Int64[Tensor, " users"]:
        return self.indptr.diff()

    @cached_property
    def users(self) -> Int64[Tensor, " nnz"]:
        """The row that each index belongs to."""
        positions = torch.arange(self.n_users, device=self.indices.device)
        return torch.repeat_interleave(positions, self.counts, output_size=self.indices.shape[0])

    @cached_property
    def by_item(self) -> ByItem:
        """The same entries, sorted by item."""
        indices, order = torch.sort(self.indices, stable=True)
        items, inverse, counts = torch.unique_consecutive(
            indices, return_inverse=True, return_counts=True
        )
        indptr = torch.zeros(len(items) + 1, dtype=torch.int64, device=items.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        return ByItem(items, indptr, self.users[order], indices, order, inverse)

    @classmethod
    def from_csr(
        cls, x: csr_array, rows: np.ndarray | None = None, device: str | torch.device = "cpu"
    ) -> Rows:
        """The rows of a CSR matrix, or those at positions `rows`, moved to `device`."""
        all_rows = SparseMatrix.from_csr(x, device)
        if rows is None:
            rows = np.arange(x.shape[0])
        return all_rows.take(torch.from_numpy(np.asarray(rows, np.int64)))

    def part(self, start: int, end: int) -> Rows:
        """The users from position `start` to before `end`."""
        indptr = self.indptr[start : end + 1]
        low, high = int(indptr[0]), int(indptr[-1])
        return Rows(self.indices[low:high], indptr - indptr[0], self.n_items)


@dataclass(frozen=True, eq=False)
class ByItem:
    """The entries of sparse rows sorted by item, then by user: their transpose.

    `items` are those present, `indptr` where each one's entries begin; entry by entry, `users`
    and `indices` are row and item, `order` the position in the rows, `inverse` the position of
    the entry's item in `items`.
    """

    items: Int64[Tensor, " present"]
    indptr: Int64[Tensor, " present_plus_1"]
    users: Int64[Tensor, " nnz"]
    indices: Int64[Tensor, " nnz"]
    order: Int64[Tensor, " nnz"]
    inverse: Int64[Tensor, " nnz"]


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """All rows of a CSR matrix on a device, to take batches from."""

    indices: Int[Tensor, " nnz"]
    indptr: Int64[Tensor, " rows_plus_1"]
    n_items: int

    @classmethod
    def from_csr(cls, x: csr_array, device: str | torch.device = "cpu") -> SparseMatrix:
        """Shares memory with `x` on the CPU."""
        indptr = torch.from_numpy(x.indptr.astype(np.int64, copy=False))
        return cls(torch.from_numpy(x.indices).to(device), indptr.to(device), x.shape[1])

    @property
    def n_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.indices, self.indptr))

    def take(self, rows: Int64[Tensor, " users"]) -> Rows:
        """The rows at these positions, in their order, without a loop over them."""
        rows = rows.to(self.indptr.device)
        starts = self.indptr[rows]
        counts = self.indptr[rows + 1] - starts
        indptr = torch.zeros(len(rows) + 1, dtype=torch.int64, device=rows.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        n_entries = int(indptr[-1])
        shifts = torch.repeat_interleave(starts - indptr[:-1], counts, output_size=n_entries)
        positions = shifts + torch.arange(n_entries, device=rows.device)
        return Rows(self.indices[positions].long(), indptr, self.n_items)


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """What the encoder reads: sparse rows with a value at every kept index."""

    rows: Rows
    values: Float[Tensor, " nnz"]

    def multiply(self, factors: Float[Tensor, " nnz"]) -> WeightedRows:
        return replace(self, values=self.values * factors)

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
