"""Sparse rows on a device: a batch of histories, from CSR to the encoder's first layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.sparse import csr_array
from torch import Tensor


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

    @classmethod
    def from_csr(
        cls, x: csr_array, rows: np.ndarray | None = None, device: str | torch.device = "cpu"
    ) -> Rows:
        """The rows of a CSR matrix, or those at positions `rows`, moved to `device`."""
        indices, indptr = x.indices, x.indptr
        if rows is not None:
            indices, indptr = gather_rows(indices, indptr, rows)
        return cls(
            torch.from_numpy(indices.astype(np.int64)).to(device),
            torch.from_numpy(indptr.astype(np.int64)).to(device),
            x.shape[1],
        )


def gather_rows(
    indices: np.ndarray, indptr: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`indices` and `indptr` of the rows at positions `rows`, without a loop over them."""
    counts = indptr[rows + 1] - indptr[rows]
    new_indptr = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(counts, out=new_indptr[1:])
    positions = np.arange(new_indptr[-1]) + np.repeat(indptr[rows] - new_indptr[:-1], counts)
    return indices[positions], new_indptr


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """What the encoder reads: sparse rows with a value at every kept index."""

    rows: Rows
    values: Float[Tensor, " nnz"]

    def multiply(self, factors: Float[Tensor, " nnz"]) -> WeightedRows:
        return replace(self, values=self.values * factors)

    def product(self, weight: Float[Tensor, "items hidden"]) -> Float[Tensor, "users hidden"]:
        """The sparse-dense product of the rows with `weight`: a weighted sum of its rows."""
        return torch.nn.functional.embedding_bag(
            self.rows.indices,
            weight,
            self.rows.indptr,
            mode="sum",
            per_sample_weights=self.values,
            include_last_offset=True,
        )


def mean_of_rows(
    rows: Rows, weight: Float[Tensor, "items latent"]
) -> Float[Tensor, "users latent"]:
    """The mean of `weight` over each user's set S; zero where S is empty."""
    return torch.nn.functional.embedding_bag(
        rows.indices, weight, rows.indptr, mode="mean", include_last_offset=True
    )
