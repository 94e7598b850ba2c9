"""The inverse of X'X + diag(penalties), computed in place over the items or over the users."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DivergedError
from nearfar.kernels.products import multiply_into, times
from nearfar.kernels.sparse import weighted_sums

BLOCK_COLUMNS = 1024
"""Columns computed at once: of a Gram matrix by all threads together, or of the inverse."""

SPARSE_COST = 30.0
"""Time of a multiplication in a sparse product, relative to one in a dense product."""

ENTRY_COST = 1000.0
"""Time to write and read an entry of the result once, relative to a dense multiplication."""

BYTES_PER_INTERACTION = 48
"""Memory of the sparse matrices by user and by item, in the inverse over the users."""

LEAST_REST = 1e-5
"""The least entry of the inverse's diagonal, as a share of 1 / penalty. It is the difference of
1 / penalty and another number, and a smaller one has no correct digits left in float32."""

PIVOT = 512
"""Columns eliminated per step."""

PANEL = 1024
"""Rows updated at once; their update is held in memory beside the matrix."""


def inverse_of_regularised_gram(
    x: csr_array, penalties: Float[np.ndarray, " items"]
) -> Float[np.ndarray, "items items"]:
    """Return (X'X + diag(penalties))^-1, float32, symmetric, in Fortran order.

    Over the items, the regularised Gram matrix itself is inverted. Over the users, with
    Z = X diag(penalties)^-1/2, the Woodbury identity gives the same inverse as

        diag(penalties)^-1/2 (I - Z' (Z Z' + I)^-1 Z) diag(penalties)^-1/2,

    where only a matrix of users x users is inverted. `goes_by_users` selects the faster one.

    Raises:
        DivergedError: the matrix is not positive definite in float32.
    """
    n_items = x.shape[1]
    if goes_by_users(x.shape[0], n_items, x.nnz):
        return _by_users(x, penalties)
    matrix = gram(x)
    matrix.flat[:: n_items + 1] += penalties
    invert_in_place(matrix)
    return matrix


def goes_by_users(n_users: int, n_items: int, n_interactions: int) -> bool:
    """Return whether the inverse is computed over the users.

    That needs a matrix of users x users beside the result, hence at most half as many users as
    items. The choice depends on the sizes alone, not on the free memory, because the two results
    differ in their last bits.
    """
    if 2 * n_users > n_items:
        return False
    return _multiplications_by_users(n_users, n_items, n_interactions) < n_items**3


def n_multiplications(n_users: int, n_items: int, n_interactions: int) -> float:
    """Return the time of the inverse, as multiplications in dense products."""
    entries = ENTRY_COST * n_items**2
    if goes_by_users(n_users, n_items, n_interactions):
        return entries + _multiplications_by_users(n_users, n_items, n_interactions)
    return entries + float(n_items) ** 3


def n_pairs(x: csr_array) -> float:
    """Return how many pairs of interactions, of one user or one item, the Gram matrix counts."""
    by_users = goes_by_users(x.shape[0], x.shape[1], x.nnz)
    counts = np.bincount(x.indices, minlength=x.shape[1]) if by_users else np.diff(x.indptr)
    return float(np.square(counts, dtype=np.float64).sum())


def _multiplications_by_users(n_users: int, n_items: int, n_interactions: int) -> float:
    products = n_interactions * (n_users + n_items / 2)
    return float(n_users) ** 3 + SPARSE_COST * products


def peak_bytes(n_users: int, n_items: int, n_interactions: int) -> int:
    """Return the peak memory: the result, a block of products, and the matrix of the users.

    The inversion itself needs less memory beside the matrix than that block.
    """
    result = 4 * n_items**2 + 12 * n_items * min(n_items, BLOCK_COLUMNS)
    if not goes_by_users(n_users, n_items, n_interactions):
        return result
    return result + 4 * n_users**2 + BYTES_PER_INTERACTION * n_interactions


def gram(x: csr_array) -> Float[np.ndarray, "items items"]:
    """Return X'X as a dense float32 matrix, computed by sparse products of blocks of columns.

    Threads compute the blocks in parallel. The result is the same to the bit for any number of
    threads, because an entry is summed within one block, in the order of the users.
    """
    n_items = x.shape[1]
    result = np.empty((n_items, n_items), np.float32, order="F")
    transposed, by_item = x.T.tocsr(), x.tocsc()
    n_threads = torch.get_num_threads()
    width = max(1, BLOCK_COLUMNS // n_threads)

    def compute(start: int) -> None:
        block = slice(start, start + width)
        result[:, block] = (transposed @ by_item[:, block]).toarray()

    with ThreadPoolExecutor(n_threads, "nearfar-gram") as pool:
        for _ in pool.map(compute, range(0, n_items, width)):
            pass  # re-raises the errors of blocks
    return result


def _by_users(
    x: csr_array, penalties: Float[np.ndarray, " items"]
) -> Float[np.ndarray, "items items"]:
    """Return the inverse by the Woodbury identity, see `inverse_of_regularised_gram`."""
    n_items = x.shape[1]
    user_matrix = gram(_divided(x, np.sqrt(penalties)).T.tocsr())
    user_matrix.flat[:: len(user_matrix) + 1] += 1
    invert_in_place(user_matrix)
    user_inverse = torch.from_numpy(user_matrix.T)
    by_item = _divided(x, penalties).T.tocsr()
    users, starts = (
        torch.from_numpy(a.astype(np.int64)) for a in (by_item.indices, by_item.indptr)
    )
    values = torch.from_numpy(by_item.data)

    def product(start: int, end: int, dense: Tensor) -> Tensor:
        """Return the rows of items `start` to `end` times a dense matrix."""
        entries = slice(starts[start], starts[end])
        limits = starts[start : end + 1] - starts[start]
        return weighted_sums(dense, users[entries], limits, values[entries])

    result = np.empty((n_items, n_items), np.float32)
    rows = torch.from_numpy(result)
    for start in range(0, n_items, BLOCK_COLUMNS):
        end = min(start + BLOCK_COLUMNS, n_items)
        projected = product(start, end, user_inverse).neg_().T.contiguous()
        # The result is symmetric: only its lower triangle is computed.
        rows[start:, start:end] = product(start, n_items, projected)
    mirror_lower_triangle(rows)
    result.flat[:: n_items + 1] += 1 / penalties
    if (np.diagonal(result) * penalties).min() < LEAST_REST:
        raise DivergedError("the matrix cannot be inverted in float32; raise l2")
    return result.T


def _divided(x: csr_array, by: Float[np.ndarray, " items"]) -> csr_array:
    """Return the matrix with the column of each item divided by the item's number."""
    return csr_array((x.data / by[x.indices], x.indices, x.indptr), shape=x.shape)


def invert_in_place(matrix: Float[np.ndarray, "n n"]) -> None:
    """Overwrite a symmetric positive definite float32 matrix by its inverse.

    Symmetric sweeps (Goodnight, A Tutorial on the SWEEP Operator, 1979) of a block of columns each:
    n^3 multiplications and additions as by Cholesky, nearly all of them in products of matrices.
    They need 8 n `PIVOT` + 4 n `PANEL` bytes beside the matrix.

    LAPACK's potrf and potri are not used: those in SciPy crash the process above some 40,000
    columns with two threads, and are no faster (docs/performance.md).

    Raises:
        DivergedError: the matrix is not positive definite in float32.
    """
    n = len(matrix)
    a = torch.from_numpy(matrix.T if matrix.flags.f_contiguous else matrix)
    for start in range(0, n, PIVOT):
        _sweep(a, start, min(start + PIVOT, n))
    for top in range(0, n, PANEL):
        bottom = min(top + PANEL, n)
        a[top:bottom, :bottom].neg_()
    mirror_lower_triangle(a)


def mirror_lower_triangle(a: Float[torch.Tensor, "n n"]) -> None:
    """Copy the triangle below the diagonal to the one above it."""
    for top in range(0, len(a), PANEL):
        bottom = min(top + PANEL, len(a))
        square = a[top:bottom, top:bottom]
        square.copy_(square.tril() + square.tril(-1).T)
        a[:top, top:bottom].copy_(a[top:bottom, :top].T)


def _sweep(a: torch.Tensor, start: int, end: int) -> None:
    """Eliminate columns `start` to `end`; only the lower triangle is read and valid afterwards."""
    factor, failed = torch.linalg.cholesky_ex(a[start:end, start:end].double())
    if failed:
        raise DivergedError("the matrix is not positive definite in float32; raise l2")
    pivot = torch.cholesky_inverse(factor).float()
    columns = torch.cat([a[start:end, :start].T, a.new_zeros(end - start, end - start),
                         a[end:, start:end]])  # fmt: skip
    scaled = times(columns, pivot)
    columns.neg_()
    for top in range(0, len(a), PANEL):
        bottom = min(top + PANEL, len(a))
        multiply_into(a[top:bottom, :bottom], scaled[top:bottom], columns[:bottom].T, add=True)
    a[start:end, :start] = scaled[:start].T
    a[end:, start:end] = scaled[end:]
    a[start:end, start:end] = -pivot
