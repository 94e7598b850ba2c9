"""Sparse rows on a device: batches of histories between a CSR matrix and the encoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.memory import uploaded


@dataclass(frozen=True, eq=False)
class WholeBatch:
    """The batch that rows are a part of, if several processes share its users.

    Attributes:
        n_users: users of the whole batch.
        n_entries: entries of the whole batch.
        first_user: position of the part's first user in the batch.
        first_entry: position of the part's first entry in the batch.
        items: items present in the batch, in ascending order, if an objective term needs them.
    """

    n_users: int
    n_entries: int
    first_user: int
    first_entry: int
    items: Int64[Tensor, " present"] | None = None


@dataclass(frozen=True, eq=False)
class ByItem:
    """The transpose of sparse rows: their entries sorted by item, then by user.

    Attributes:
        items: the items present in ascending order; all items if sizes are fixed (see `Rows`).
        indptr: where the entries of each item begin, and the end.
        users: the row of each entry.
        indices: the item of each entry.
        order: the position of each entry in the rows.
        inverse: the position of each entry's item in `items`.
    """

    items: Int64[Tensor, " present"]
    indptr: Int64[Tensor, " present_plus_1"]
    users: Int64[Tensor, " nnz"]
    indices: Int64[Tensor, " nnz"]
    order: Int64[Tensor, " nnz"]
    inverse: Int64[Tensor, " nnz"]

    def where(self, mask: Bool[Tensor, " nnz"], n_before: Int64[Tensor, " nnz_plus_1"]) -> ByItem:
        """Return the entries where `mask` is true.

        Args:
            mask: one value per entry, in the order of the rows.
            n_before: number of true values before each entry, in the order of the rows.
        """
        mask_by_item = mask[self.order]
        positions = mask_by_item.nonzero()[:, 0]
        limits = _count_before(mask_by_item)[self.indptr]
        present = limits.diff() > 0
        return ByItem(
            self.items[present],
            torch.cat([limits[:1], limits[1:][present]]),
            self.users[positions],
            self.indices[positions],
            n_before[self.order[positions]],
            _count_before(present)[self.inverse[positions]],
        )


@dataclass(eq=False)
class Rows:
    """A batch of sparse rows: the sets S of items of its users.

    Notation: `counts` = N = |S|.

    Attributes:
        indices: the items, row by row, ascending within a row.
        indptr: where each row begins in `indices`, and the end.
        n_items: number of columns.
        positions: of the rows in the matrix that they were taken from, if known.
        whole: the batch, if the rows are only a part of it.
        transpose: the entries sorted by item, if they have been sorted; see `by_item`.
        weights: weight of each entry in a likelihood; None if all are 1.
        known_limits: `indptr` in the CPU's memory, if known; see `limits`.
        fixed: sizes do not depend on the data, because a CPU that reads a size from a GPU waits for
            all work of the GPU. The transpose then has every item of the catalogue, and entries
            hidden by a corruption stay, with value 0.
    """

    indices: Int64[Tensor, " nnz"]
    indptr: Int64[Tensor, " users_plus_1"]
    n_items: int
    positions: Int64[Tensor, " users"] | None = None
    whole: WholeBatch | None = None
    transpose: ByItem | None = None
    weights: Float[Tensor, " nnz"] | None = None
    known_limits: Int64[np.ndarray, " users_plus_1"] | None = None
    fixed: bool = False

    @property
    def n_users(self) -> int:
        return self.indptr.shape[0] - 1

    @cached_property
    def counts(self) -> Int64[Tensor, " users"]:
        return self.indptr.diff()

    @cached_property
    def totals(self) -> Float[Tensor, " users"] | Int64[Tensor, " users"]:
        """The total weight of each row's entries; their number if they have no weights."""
        if self.weights is None:
            return self.counts
        zeros = torch.zeros(self.n_users, dtype=self.weights.dtype, device=self.weights.device)
        return zeros.index_add_(0, self.users, self.weights)

    @cached_property
    def limits(self) -> Int64[np.ndarray, " users_plus_1"]:
        """`indptr` in the CPU's memory; read from a GPU only if `known_limits` is None."""
        return self.indptr.cpu().numpy() if self.known_limits is None else self.known_limits

    @cached_property
    def users(self) -> Int64[Tensor, " nnz"]:
        """The row of each entry."""
        positions = torch.arange(self.n_users, device=self.indices.device)
        return torch.repeat_interleave(positions, self.counts, output_size=self.indices.shape[0])

    @property
    def by_item(self) -> ByItem:
        """The entries sorted by item; the result is kept in `transpose`."""
        if self.transpose is None:
            self.transpose = self._sort_by_item()
        return self.transpose

    def _sort_by_item(self) -> ByItem:
        indices, order = torch.sort(self.indices, stable=True)
        if self.fixed:
            limits = torch.arange(self.n_items + 1, device=indices.device)
            indptr = torch.searchsorted(indices, limits)
            return ByItem(limits[:-1], indptr, self.users[order], indices, order, indices)
        items, inverse, counts = torch.unique_consecutive(
            indices, return_inverse=True, return_counts=True
        )
        indptr = torch.zeros(len(items) + 1, dtype=torch.int64, device=items.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        return ByItem(items, indptr, self.users[order], indices, order, inverse)

    @property
    def users_of_batch(self) -> int:
        """Number of users in the whole batch."""
        return self.n_users if self.whole is None else self.whole.n_users

    @property
    def items_of_batch(self) -> Int64[Tensor, " present"]:
        """Items present in the whole batch, in ascending order."""
        known = None if self.whole is None else self.whole.items
        return self.by_item.items if known is None else known

    def of_items_present(self) -> Rows:
        """Return the rows with a transpose of only the items present."""
        return replace(self, fixed=False, transpose=None) if self.fixed else self

    def within(self, whole: WholeBatch) -> Rows:
        """Return the rows as a part of a batch."""
        return replace(self, whole=whole)

    @classmethod
    def from_csr(
        cls, x: csr_array, rows: np.ndarray | None = None, device: str | torch.device = "cpu"
    ) -> Rows:
        """Return the rows of a CSR matrix, or those at positions `rows`, on `device`.

        Values other than 1 become weights.
        """
        indices, indptr, values = x.indices, x.indptr, x.data
        if rows is not None:
            values, _ = gather_rows(values, indptr, rows)
            indices, indptr = gather_rows(indices, indptr, rows)
        weights = weights_of(values)
        limits = indptr.astype(np.int64)
        return cls(
            torch.from_numpy(indices.astype(np.int64)).to(device),
            torch.from_numpy(limits).to(device),
            x.shape[1],
            None if rows is None else torch.from_numpy(rows.astype(np.int64)).to(device),
            known_limits=limits,
            weights=None if weights is None else torch.from_numpy(weights).to(device),
        )

    def transposed(self) -> Rows:
        """Return the rows with their transpose, computed on the CPU in one thread.

        It can run in a thread while another one trains, without starting a second team of OpenMP
        threads, with which both would wait for each other.
        """
        n = self.indices.shape[0]
        x = csr_array(
            (np.arange(n), self.indices.numpy(), self.indptr.numpy()),
            shape=(self.n_users, self.n_items),
        ).tocsc()
        counts = np.diff(x.indptr)
        items = np.flatnonzero(counts)
        counts = counts[items]
        indptr = np.concatenate([[0], np.cumsum(counts)])
        arrays = (
            items, indptr, x.indices, np.repeat(items, counts), x.data,
            np.repeat(np.arange(len(items)), counts),
        )  # fmt: skip
        tensors = [torch.from_numpy(array.astype(np.int64, copy=False)) for array in arrays]
        return replace(self, transpose=ByItem(*tensors))

    def where(self, mask: Bool[Tensor, " nnz"]) -> Rows:
        """Return the entries where `mask` is true, with a transpose if this one is known."""
        n_before = _count_before(mask)
        return Rows(
            self.indices[mask],
            n_before[self.indptr],
            self.n_items,
            self.positions,
            transpose=None if self.transpose is None else self.transpose.where(mask, n_before),
        )

    def part(self, start: int, end: int) -> Rows:
        """Return the rows from position `start` to before `end`."""
        low, high = self.limits[start], self.limits[end]
        return Rows(
            self.indices[low:high],
            self.indptr[start : end + 1] - low,
            self.n_items,
            None if self.positions is None else self.positions[start:end],
            known_limits=self.limits[start : end + 1] - low,
            fixed=self.fixed,
            weights=None if self.weights is None else self.weights[low:high],
        )


def weights_of(values: np.ndarray) -> Float[np.ndarray, " nnz"] | None:
    """Return the values of a matrix of interactions, or None if all are 1."""
    return None if values.dtype != np.float32 or (values == 1).all() else values


def gather_rows(
    indices: np.ndarray, indptr: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return `indices` and `indptr` of the rows at positions `rows`, without a loop."""
    counts = indptr[rows + 1] - indptr[rows]
    new_indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=new_indptr[1:])
    positions = np.arange(new_indptr[-1]) + np.repeat(indptr[rows] - new_indptr[:-1], counts)
    return indices[positions], new_indptr


def _count_before(mask: Tensor) -> Tensor:
    """Return the number of true values before each position, and of all."""
    counts = torch.zeros(len(mask) + 1, dtype=torch.int64, device=mask.device)
    torch.cumsum(mask, 0, out=counts[1:])
    return counts


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A CSR matrix on a GPU, from which batches are taken; `limits` is `indptr` on the CPU."""

    indices: Int[Tensor, " nnz"]
    indptr: Int64[Tensor, " rows_plus_1"]
    limits: Int64[np.ndarray, " rows_plus_1"]
    n_items: int
    weights: Float[Tensor, " nnz"] | None = None

    @classmethod
    def from_csr(cls, x: csr_array, device: str | torch.device = "cpu") -> SparseMatrix:
        """Return the matrix `x` on `device`; on the CPU it shares the memory of `x`."""
        limits = x.indptr.astype(np.int64, copy=False)
        indices, indptr = torch.from_numpy(x.indices), torch.from_numpy(limits)
        values = weights_of(x.data)
        weights = None if values is None else torch.from_numpy(values).to(device)
        return cls(indices.to(device), indptr.to(device), limits, x.shape[1], weights)

    def take(self, rows: Int64[np.ndarray, " users"], *, fixed: bool = False) -> Rows:
        """Return the rows at these positions, in their order, without a loop.

        Args:
            rows: positions, in the CPU's memory.
            fixed: whether sizes are fixed; see `Rows`.
        """
        limits = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(self.limits[rows + 1] - self.limits[rows], out=limits[1:])
        device = self.indptr.device
        users = uploaded(torch.from_numpy(rows), device)
        indptr = uploaded(torch.from_numpy(limits), device)
        n_entries = int(limits[-1])
        shifts = torch.repeat_interleave(
            self.indptr[users] - indptr[:-1], indptr.diff(), output_size=n_entries
        )
        positions = shifts + torch.arange(n_entries, device=device)
        indices = self.indices[positions].long()
        weights = None if self.weights is None else self.weights[positions]
        return Rows(
            indices, indptr, self.n_items, users,
            known_limits=limits, fixed=fixed, weights=weights,
        )  # fmt: skip
