"""The inverse of a large symmetric positive definite matrix, in its own memory."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float

from nearfar.core.errors import DivergedError
from nearfar.kernels.products import multiply_into, times

PIVOT = 512
"""Columns that one step eliminates."""

PANEL = 1024
"""Rows that are updated at once; their update is held beside the matrix."""


def invert_in_place(matrix: Float[np.ndarray, "n n"]) -> None:
    """The inverse of a symmetric positive definite float32 matrix, which it overwrites.

    Symmetric sweeps (Goodnight, A Tutorial on the SWEEP Operator, 1979), a block of columns each:
    n^3 multiplications and additions as by Cholesky, nearly all of them in products of matrices.
    Beside the matrix are 8 n `PIVOT` bytes and 4 n `PANEL`.

    LAPACK is not used, though it has the same in potrf and potri: the one in SciPy ends the
    process above some 40,000 columns with two threads, and is no faster (docs/performance.md).

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
    """Overwrite the triangle above the diagonal by the one below it."""
    for top in range(0, len(a), PANEL):
        bottom = min(top + PANEL, len(a))
        square = a[top:bottom, top:bottom]
        square.copy_(square.tril() + square.tril(-1).T)
        a[:top, top:bottom].copy_(a[top:bottom, :top].T)


def _sweep(a: torch.Tensor, start: int, end: int) -> None:
    """Eliminate columns `start` to `end`; only the lower triangle is read and right afterwards."""
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
