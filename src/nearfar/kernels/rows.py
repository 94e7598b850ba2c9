"""Sparse rows on a device: a batch of histories, from CSR to the encoder's first layer."""

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
    """The batch that rows are a part of, where several processes share its users.

    `n_users` and `n_entries` are its own, `first_user` and `first_entry` tell where the part
    begins in it; `items` are those that somebody in it has, in ascending order, where a term of
    the objective asks for them.
    """

    n_users: int
    n_entries: int
    first_user: int
    first_entry: int
    items: Int64[Tensor, " present"] | None = None


@dataclass(frozen=True, eq=False)
class ByItem:
    """The entries of sparse rows sorted by item, then by user: their transpose.

    `items` are those present, or all where sizes are fixed (see `Rows`), in ascending order;
    `indptr` tells where each one's entries begin. Entry by entry,
    `users` and `indices` are row and item, `order` is the position in the rows, `inverse` that
    of the entry's item in `items`.
    """

    items: Int64[Tensor, " present"]
    indptr: Int64[Tensor, " present_plus_1"]
    users: Int64[Tensor, " nnz"]
    indices: Int64[Tensor, " nnz"]
    order: Int64[Tensor, " nnz"]
    inverse: Int64[Tensor, " nnz"]

    def where(self, kept: Bool[Tensor, " nnz"], before: Int64[Tensor, " nnz_plus_1"]) -> ByItem:
        """Return the entries that are kept.

        Args:
            kept: whether each entry is kept, in the order of the rows.
            before: how many entries are kept before each one, in the order of the rows.
        """
        among = kept[self.order]
        places = among.nonzero()[:, 0]
        limits = _before(among)[self.indptr]
        present = limits.diff() > 0
        return ByItem(
            self.items[present],
            torch.cat([limits[:1], limits[1:][present]]),
            self.users[places],
            self.indices[places],
            before[self.order[places]],
            _before(present)[self.inverse[places]],
        )


@dataclass(eq=False)
class Rows:
    """A batch of sparse rows, the sets S of positives of its users.

    Notation: `counts` = N = |S|.

    Attributes:
        indices: the items, row by row, ascending within a row.
        indptr: where each row begins in `indices`, and the end.
        n_items: columns.
        positions: of the rows in the matrix that they were taken from, where that is known.
        whole: the batch that the rows are a part of, where they are not all of it.
        transpose: the entries sorted by item, if they were sorted already; see `by_item`.
        weights: how much each entry counts in a likelihood; None where all count 1.
        known_limits: `indptr` in the CPU's memory, where it is there; see `limits`.
        fixed: no size depends on the data, since a CPU that reads one from a GPU waits for all
            that the GPU was given before. The transpose then has every item of the catalogue,
            and entries that a corruption hides stay, with weight 0.
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
        """The weight of each row's entries; their number where they have no weights."""
        if self.weights is None:
            return self.counts
        zeros = torch.zeros(self.n_users, dtype=self.weights.dtype, device=self.weights.device)
        return zeros.index_add_(0, self.users, self.weights)

    @cached_property
    def limits(self) -> Int64[np.ndarray, " users_plus_1"]:
        """`indptr` in the CPU's memory; from a GPU it is read only if it is not known."""
        return self.indptr.cpu().numpy() if self.known_limits is None else self.known_limits

    @cached_property
    def users(self) -> Int64[Tensor, " nnz"]:
        """The row that each index belongs to."""
        positions = torch.arange(self.n_users, device=self.indices.device)
        return torch.repeat_interleave(positions, self.counts, output_size=self.indices.shape[0])

    @property
    def by_item(self) -> ByItem:
        """The same entries, sorted by item: sorted once, when they are first asked for."""
        if self.transpose is None:
            self.transpose = self._sorted_by_item()
        return self.transpose

    def _sorted_by_item(self) -> ByItem:
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
        """Users of the whole batch."""
        return self.n_users if self.whole is None else self.whole.n_users

    @property
    def items_of_batch(self) -> Int64[Tensor, " present"]:
        """Items that somebody in the whole batch has, in ascending order."""
        known = None if self.whole is None else self.whole.items
        return self.by_item.items if known is None else known

    def of_items_present(self) -> Rows:
        """Return the same rows with a transpose of the items present alone."""
        return replace(self, fixed=False, transpose=None) if self.fixed else self

    def within(self, whole: WholeBatch) -> Rows:
        """The same rows as a part of a batch."""
        return replace(self, whole=whole)

    @classmethod
    def from_csr(
        cls, x: csr_array, rows: np.ndarray | None = None, device: str | torch.device = "cpu"
    ) -> Rows:
        """The rows of a CSR matrix, or those at positions `rows`, moved to `device`.

        Values other than one are weights.
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
        """Return the same rows with their transpose, made on the CPU and in one thread.

        A thread of its own can do this beside training without starting a second team of
        OpenMP threads, which would have both wait for each other.
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
        parts = (
            items,
            indptr,
            x.indices,
            np.repeat(items, counts),
            x.data,
            np.repeat(np.arange(len(items)), counts),
        )
        tensors = [torch.from_numpy(part.astype(np.int64, copy=False)) for part in parts]
        return replace(self, transpose=ByItem(*tensors))

    def where(self, kept: Bool[Tensor, " nnz"]) -> Rows:
        """The entries where `kept` is true; if the transpose is known, so is the result's."""
        before = _before(kept)
        return Rows(
            self.indices[kept],
            before[self.indptr],
            self.n_items,
            self.positions,
            transpose=None if self.transpose is None else self.transpose.where(kept, before),
        )

    def part(self, start: int, end: int) -> Rows:
        """The users from position `start` to before `end`."""
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
    """The values of a matrix of interactions, or None where all are one."""
    return None if values.dtype != np.float32 or (values == 1).all() else values


def gather_rows(
    indices: np.ndarray, indptr: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`indices` and `indptr` of the rows at positions `rows`, without a loop over them."""
    counts = indptr[rows + 1] - indptr[rows]
    new_indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=new_indptr[1:])
    positions = np.arange(new_indptr[-1]) + np.repeat(indptr[rows] - new_indptr[:-1], counts)
    return indices[positions], new_indptr


def _before(kept: Tensor) -> Tensor:
    """How many are kept before each position, and in all."""
    before = torch.zeros(len(kept) + 1, dtype=torch.int64, device=kept.device)
    torch.cumsum(kept, 0, out=before[1:])
    return before


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """All rows of a CSR matrix on a GPU, to take batches from.

    `limits` is `indptr` in the CPU's memory.
    """

    indices: Int[Tensor, " nnz"]
    indptr: Int64[Tensor, " rows_plus_1"]
    limits: Int64[np.ndarray, " rows_plus_1"]
    n_items: int
    weights: Float[Tensor, " nnz"] | None = None

    @classmethod
    def from_csr(cls, x: csr_array, device: str | torch.device = "cpu") -> SparseMatrix:
        """The matrix `x` on `device`; on the CPU it shares its memory."""
        limits = x.indptr.astype(np.int64, copy=False)
        indices, indptr = torch.from_numpy(x.indices), torch.from_numpy(limits)
        values = weights_of(x.data)
        weights = None if values is None else torch.from_numpy(values).to(device)
        return cls(indices.to(device), indptr.to(device), limits, x.shape[1], weights)

    def take(self, rows: Int64[np.ndarray, " users"], *, fixed: bool = False) -> Rows:
        """The rows at these positions, in their order, without a loop over them.

        Args:
            rows: positions, in the CPU's memory.
            fixed: of the result, see `Rows`.
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
