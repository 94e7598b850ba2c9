"""Weighted ridge regression for many sparse rows at once, against the same factors."""

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
"""Numbers gathered at once, unless one row alone has more; no array of a block is larger."""


@dataclass(frozen=True)
class Confidence(Settings):
    """How much an entry of the matrix counts, and how strongly a row's factors are held small.

    An entry weighs 1, or its own weight, where the row has it and `unobserved_weight` elsewhere. A
    row whose entries weigh s in all is penalised by `l2` s^`l2_exponent`.

    Args:
        unobserved_weight: weight of unobserved entries; 1 weighs all entries alike.
        l2: weight of the ridge penalty.
        l2_exponent: 0 penalises all rows alike, 1 in proportion to the weight of their entries.

    Raises:
        SettingsError: a value is out of range.
    """

    unobserved_weight: PositiveShare
    l2: PositiveFloat
    l2_exponent: NonNegativeFloat

    def penalties(self, rows: Rows, n_background: int | None = None) -> Float[Tensor, " rows"]:
        """Each row's penalty, float64.

        Args:
            rows: the entries.
            n_background: columns that weigh `unobserved_weight` where a row lacks them; None for
                all.
        """
        n_unobserved = rows.n_items if n_background is None else n_background
        weights = rows.totals + self.unobserved_weight * (n_unobserved - rows.counts)
        return self.l2 * weights.double() ** self.l2_exponent


@dataclass(frozen=True, eq=False)
class WeightedRidge:
    """The least squares of any row against fixed factors V.

    For a row with the entries S, a the unobserved weight and p the penalty,
    u = argmin sum_i w_i (x_i - u.v_i)^2 + p |u|^2 = (a V'V + (1 - a) V_S'V_S + p I)^-1 V_S' 1.

    Where entries have weights w_i, the sum over S is of w_i - a, and the right side of w_i.

    The factors are turned so that V'V is diagonal. A row of fewer entries than factors is then
    solved in as many unknowns as it has entries, which is the same by
    (D + c V_S'V_S)^-1 V_S' = D^-1 V_S' (I + c V_S D^-1 V_S')^-1.

    Attributes:
        factors: V turned, and a row of zeros that pads short rows.
        eigenvalues: of V'V.
        basis: what turned them; its columns are the eigenvectors.
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
        """Ready to solve in the precision of `factors`.

        Args:
            factors: V.
            unobserved_weight: a.
            n_background: only so many columns, the first ones, count in V'V; None for all.

        Raises:
            DivergedError: the factors left the real numbers.
        """
        background = factors[:n_background]
        gram = (background.T @ background).double()
        if not gram.isfinite().all():
            raise DivergedError("factors are no longer finite; raise l2")
        eigenvalues, basis = torch.linalg.eigh(gram)
        basis = basis.to(factors.dtype)
        turned = torch.nn.functional.pad(factors @ basis, (0, 0, 0, 1))
        return cls(turned, eigenvalues.clamp(min=0).to(factors.dtype), basis, unobserved_weight)

    def solve(self, rows: Rows, penalties: Float[Tensor, " rows"]) -> Float[Tensor, "rows k"]:
        """The factors of every row; zero for a row without entries.

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
            met, diagonal = self.factors[block.columns], diagonals[block.rows]
            if block.weights is not None:
                result[block.rows] = _weighted(met, diagonal, block.weights, self.unobserved_weight)
                continue
            solved = _few if met.shape[1] < met.shape[2] else _many
            result[block.rows] = solved(met, diagonal, 1 - self.unobserved_weight)
        return result @ self.basis.T


def weighted_least_squares(
    rows: Rows, factors: Float[Tensor, "columns k"], confidence: Confidence
) -> Float[Tensor, "rows k"]:
    """A half step of weighted alternating least squares: every row's factors against `factors`.

    Raises:
        DivergedError: a system is singular in the precision of `factors`.
    """
    ridge = WeightedRidge.against(factors, confidence.unobserved_weight)
    return ridge.solve(rows, confidence.penalties(rows))


def row_sums(factors: Float[Tensor, "columns k"], rows: Rows) -> Float[Tensor, "rows k"]:
    """X V for sparse rows X: V's rows summed over each row's entries, times their weights."""
    values = rows.weights
    if values is None:
        values = torch.ones(len(rows.indices), device=factors.device)
    return weighted_sums(factors, rows.indices, rows.indptr, values.to(factors.dtype))


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows of similar length: their positions, and their columns padded with `n_items`.

    Weights of entries, where there are any, are padded with 0.
    """

    rows: Int64[Tensor, " block"]
    columns: Int64[Tensor, "block width"]
    weights: Float[Tensor, "block width"] | None = None


def blocks(rows: Rows, k: int) -> Iterator[RowBlock]:
    """The rows that have entries, longest first, in blocks that gather `BLOCK_VALUES` at most."""
    counts = rows.counts.cpu().numpy()
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    start = 0
    while start < len(order):
        width = int(counts[order[start]])
        end = start + max(1, BLOCK_VALUES // (width * k))
        chosen = torch.from_numpy(order[start:end]).to(rows.indices.device)
        steps = torch.arange(width, device=chosen.device)
        places = (rows.indptr[chosen][:, None] + steps).clamp(max=len(rows.indices) - 1)
        present = steps < rows.counts[chosen][:, None]
        columns = torch.where(present, rows.indices[places], rows.n_items)
        weights = None if rows.weights is None else rows.weights[places] * present
        yield RowBlock(chosen, columns, weights)
        start = end


def _few(
    met: Float[Tensor, "block width k"], diagonal: Float[Tensor, "block k"], extra: float
) -> Float[Tensor, "block k"]:
    """D^-1 A' (I + c A D^-1 A')^-1 1 for each row's A: as many unknowns as entries."""
    scaled = met * diagonal.rsqrt()[:, None, :]
    system = torch.eye(met.shape[1], dtype=met.dtype, device=met.device) + extra * (
        scaled @ scaled.mT
    )
    found = _solve(system, torch.ones_like(met[:, :, :1]))
    return (scaled.mT @ found)[:, :, 0] * diagonal.rsqrt()


def _many(
    met: Float[Tensor, "block width k"], diagonal: Float[Tensor, "block k"], extra: float
) -> Float[Tensor, "block k"]:
    """(D + c A'A)^-1 A' 1 for each row's A: as many unknowns as factors."""
    system = torch.diag_embed(diagonal) + extra * (met.mT @ met)
    return _solve(system, met.sum(1)[:, :, None])[:, :, 0]


def _weighted(
    met: Float[Tensor, "block width k"],
    diagonal: Float[Tensor, "block k"],
    weights: Float[Tensor, "block width"],
    unobserved_weight: float,
) -> Float[Tensor, "block k"]:
    """(D + A'(W - a)A)^-1 A'W 1 for each row's A and weights W, a the unobserved weight."""
    extra = (weights - unobserved_weight).to(met.dtype)  # padding has rows of zeros
    system = torch.diag_embed(diagonal) + met.mT @ (met * extra[:, :, None])
    right = (met * weights.to(met.dtype)[:, :, None]).sum(1)
    return _solve(system, right[:, :, None])[:, :, 0]


def _solve(
    system: Float[Tensor, "block n n"], right: Float[Tensor, "block n 1"]
) -> Float[Tensor, "block n 1"]:
    triangle, failed = torch.linalg.cholesky_ex(system)
    if failed.any():
        raise DivergedError("a row's least squares are not positive definite; raise l2")
    return torch.cholesky_solve(right, triangle)
