"""Weighted ridge regression of many sparse rows at once on the same factors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from nearfar.core.errors import DivergedError
from nearfar.core.ranges import NonNegativeFloat, PositiveFloat, PositiveShare
from nearfar.core.settings import Settings
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import weighted_sums

BLOCK_VALUES = 1 << 20
"""Numbers in the largest array of a block of rows, unless a single row needs more."""


@dataclass(frozen=True)
class Confidence(Settings):
    """The weights of a matrix's entries and the ridge penalty of a row's factors.

    An observed entry has weight 1, or its own weight, and an unobserved one `unobserved_weight`. A
    row whose entries have total weight s has the penalty `l2` s^`l2_exponent`.

    Args:
        unobserved_weight: weight of unobserved entries; 1 gives all entries the same weight.
        l2: weight of the ridge penalty.
        l2_exponent: 0 penalises all rows alike, 1 in proportion to the weight of their entries.

    Raises:
        SettingsError: a value is out of range.
    """

    unobserved_weight: PositiveShare
    l2: PositiveFloat
    l2_exponent: NonNegativeFloat

    def penalties(self, rows: Rows, n_background: int | None = None) -> Float[Tensor, " rows"]:
        """Return each row's penalty, float64.

        Args:
            rows: the observed entries.
            n_background: number of columns that have `unobserved_weight` if a row lacks them; None
                for all.
        """
        n_unobserved = rows.n_items if n_background is None else n_background
        weights = rows.totals + self.unobserved_weight * (n_unobserved - rows.counts)
        return self.l2 * weights.double() ** self.l2_exponent


@dataclass(frozen=True, eq=False)
class WeightedRidge:
    """Weighted ridge regression of rows on fixed factors V.

    For a row with the entries S, a the unobserved weight and p the penalty,
    u = argmin sum_i w_i (x_i - u.v_i)^2 + p |u|^2 = (a V'V + (1 - a) V_S'V_S + p I)^-1 V_S' 1.

    With weights w_i of entries, w_i - a replaces 1 - a and w_i replaces the 1 of the right side.

    The factors are rotated so that V'V is diagonal. A row with fewer entries than factors then has
    a system with as many unknowns as entries, by
    (D + c V_S'V_S)^-1 V_S' = D^-1 V_S' (I + c V_S D^-1 V_S')^-1.

    Attributes:
        factors: V rotated, and a row of zeros that pads short rows.
        eigenvalues: of V'V.
        basis: the rotation; its columns are the eigenvectors of V'V.
        unobserved_weight: a.
    """

    factors: Float[Tensor, "columns_plus_1 k"]
    eigenvalues: Float[Tensor, " k"]
    basis: Float[Tensor, "k k"]
    unobserved_weight: float

    @classmethod
    def against(
        cls,
        factors: Float[Tensor, "columns k"],
        unobserved_weight: float,
        n_background: int | None = None,
    ) -> WeightedRidge:
        """Factor the system, which is then solved in the precision of `factors`.

        Args:
            factors: V.
            unobserved_weight: a.
            n_background: number of columns that count in V'V, the first ones; None for all.

        Raises:
            DivergedError: a factor is not finite.
        """
        background = factors[:n_background]
        gram = (background.T @ background).double()
        if not gram.isfinite().all():
            raise DivergedError("factors are no longer finite; raise l2")
        eigenvalues, basis = torch.linalg.eigh(gram)
        basis = basis.to(factors.dtype)
        rotated = torch.nn.functional.pad(factors @ basis, (0, 0, 0, 1))
        return cls(rotated, eigenvalues.clamp(min=0).to(factors.dtype), basis, unobserved_weight)

    def solve(self, rows: Rows, penalties: Float[Tensor, " rows"]) -> Float[Tensor, "rows k"]:
        """Return the factors of every row; zero for a row without entries.

        Raises:
            DivergedError: a system is singular in this precision.
        """
        diagonals = self.unobserved_weight * self.eigenvalues + penalties[:, None].to(
            self.factors.dtype
        )
        if self.unobserved_weight == 1 and rows.weights is None:
            return (row_sums(self.factors, rows) / diagonals) @ self.basis.T
        result = torch.zeros_like(diagonals)
        for block in blocks(rows, len(self.eigenvalues)):
            factors, diagonal = self.factors[block.columns], diagonals[block.rows]
            if block.weights is not None:
                result[block.rows] = _solve_weighted(
                    factors, diagonal, block.weights, self.unobserved_weight
                )
                continue
            solve = _solve_by_entries if factors.shape[1] < factors.shape[2] else _solve_by_factors
            result[block.rows] = solve(factors, diagonal, 1 - self.unobserved_weight)
        return result @ self.basis.T


def weighted_least_squares(
    rows: Rows, factors: Float[Tensor, "columns k"], confidence: Confidence
) -> Float[Tensor, "rows k"]:
    """Return every row's factors given `factors`: half a step of alternating least squares.

    Raises:
        DivergedError: a system is singular in the precision of `factors`.
    """
    ridge = WeightedRidge.against(factors, confidence.unobserved_weight)
    return ridge.solve(rows, confidence.penalties(rows))


def row_sums(factors: Float[Tensor, "columns k"], rows: Rows) -> Float[Tensor, "rows k"]:
    """Return X V for sparse rows X: the weighted sum of V's rows over each row's entries."""
    values = rows.weights
    if values is None:
        values = torch.ones(len(rows.indices), device=factors.device)
    return weighted_sums(factors, rows.indices, rows.indptr, values.to(factors.dtype))


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows of similar length, padded to the same width.

    Attributes:
        rows: positions of the rows.
        columns: of their entries; padded with `n_items`.
        weights: of their entries, if they have weights; padded with 0.
    """

    rows: Int64[Tensor, " block"]
    columns: Int64[Tensor, "block width"]
    weights: Float[Tensor, "block width"] | None = None


def blocks(rows: Rows, k: int) -> Iterator[RowBlock]:
    """Yield the rows that have entries, longest first, in blocks of at most `BLOCK_VALUES`."""
    counts = rows.counts.cpu().numpy()
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    start = 0
    while start < len(order):
        width = int(counts[order[start]])
        end = start + max(1, BLOCK_VALUES // (width * k))
        positions = torch.from_numpy(order[start:end]).to(rows.indices.device)
        steps = torch.arange(width, device=positions.device)
        entries = (rows.indptr[positions][:, None] + steps).clamp(max=len(rows.indices) - 1)
        is_entry = steps < rows.counts[positions][:, None]
        columns = torch.where(is_entry, rows.indices[entries], rows.n_items)
        weights = None if rows.weights is None else rows.weights[entries] * is_entry
        yield RowBlock(positions, columns, weights)
        start = end


def _solve_by_entries(
    factors: Float[Tensor, "block width k"], diagonal: Float[Tensor, "block k"], extra: float
) -> Float[Tensor, "block k"]:
    """Return D^-1 A' (I + c A D^-1 A')^-1 1 for each row's A: as many unknowns as entries."""
    scaled = factors * diagonal.rsqrt()[:, None, :]
    identity = torch.eye(factors.shape[1], dtype=factors.dtype, device=factors.device)
    solution = _solve(identity + extra * (scaled @ scaled.mT), torch.ones_like(factors[:, :, :1]))
    return (scaled.mT @ solution)[:, :, 0] * diagonal.rsqrt()


def _solve_by_factors(
    factors: Float[Tensor, "block width k"], diagonal: Float[Tensor, "block k"], extra: float
) -> Float[Tensor, "block k"]:
    """Return (D + c A'A)^-1 A' 1 for each row's A: as many unknowns as factors."""
    system = torch.diag_embed(diagonal) + extra * (factors.mT @ factors)
    return _solve(system, factors.sum(1)[:, :, None])[:, :, 0]


def _solve_weighted(
    factors: Float[Tensor, "block width k"],
    diagonal: Float[Tensor, "block k"],
    weights: Float[Tensor, "block width"],
    unobserved_weight: float,
) -> Float[Tensor, "block k"]:
    """Return (D + A'(W - a)A)^-1 A'W 1 for each row's A and weights W; a: `unobserved_weight`."""
    # Padding has weight 0 - a, but its factors are zeros.
    extra = (weights - unobserved_weight).to(factors.dtype)
    system = torch.diag_embed(diagonal) + factors.mT @ (factors * extra[:, :, None])
    right = (factors * weights.to(factors.dtype)[:, :, None]).sum(1)
    return _solve(system, right[:, :, None])[:, :, 0]


def _solve(
    system: Float[Tensor, "block n n"], right: Float[Tensor, "block n 1"]
) -> Float[Tensor, "block n 1"]:
    triangle, failed = torch.linalg.cholesky_ex(system)
    if failed.any():
        raise DivergedError("the least-squares system of a row is not positive definite; raise l2")
    return torch.cholesky_solve(right, triangle)
