"""Weighted ridge regression of all items at once, held together by a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import weighted_sums
from nearfar.models.least_squares import (
    Confidence,
    RowBlock,
    WeightedRidge,
    blocks,
    row_sums,
)


@dataclass(frozen=True, eq=False)
class Laplacian:
    """A Laplacian L on a device, with its weight g in the objective."""

    rows: Rows
    values: Float[Tensor, " nnz"]
    degrees: Float[Tensor, " items"]
    weight: float

    @classmethod
    def of(cls, laplacian: csr_array, weight: float, device: torch.device) -> Laplacian:
        return cls(
            Rows.from_csr(laplacian, device=device),
            torch.from_numpy(laplacian.data).to(device),
            torch.from_numpy(laplacian.diagonal()).to(device),
            weight,
        )

    def product(self, items: Float[Tensor, "items k"]) -> Float[Tensor, "items k"]:
        """g L V."""
        values = self.values.to(items.dtype)
        return self.weight * weighted_sums(items, self.rows.indices, self.rows.indptr, values)


@dataclass(frozen=True, eq=False)
class ItemSystem:
    """The normal equations of the items' half step, A V = B; A is only ever multiplied by.

    Row i of A V is (a U'U + (1 - a) U_S'U_S + p_i I) v_i + g (L V)_i and of B is U_S' 1, S the
    users of item i; with weights w_u of entries, w_u - a is in the place of 1 - a and w of 1.
    2 (A V - B) is the gradient of the objective in V. All is in the basis where U'U is diagonal,
    so that A's diagonal is most of it.
    """

    rows: Rows
    ridge: WeightedRidge
    penalties: Float[Tensor, " items"]
    graph: Laplacian

    @classmethod
    def of(
        cls,
        rows: Rows,
        users: Float[Tensor, "users k"],
        confidence: Confidence,
        graph: Laplacian,
    ) -> ItemSystem:
        ridge = WeightedRidge.against(users, confidence.unobserved_weight)
        return cls(rows, ridge, confidence.penalties(rows).to(users.dtype), graph)

    @property
    def extra(self) -> Float[Tensor, " nnz"]:
        """Return how much more each observed entry weighs."""
        weights = self.rows.weights
        if weights is None:
            weights = torch.ones(len(self.rows.indices), device=self.penalties.device)
        return weights.to(self.penalties.dtype) - self.ridge.unobserved_weight

    @cached_property
    def blocks(self) -> list[RowBlock]:
        return list(blocks(self.rows, len(self.ridge.eigenvalues)))

    @property
    def shared(self) -> Float[Tensor, "items k"]:
        """The diagonals of a U'U + p_i I."""
        unobserved = self.ridge.unobserved_weight * self.ridge.eigenvalues
        return unobserved + self.penalties[:, None]

    def right(self) -> Float[Tensor, "items k"]:
        """B."""
        return row_sums(self.ridge.factors, self.rows)

    def diagonal(self) -> Float[Tensor, "items k"]:
        """The diagonal of A."""
        of_graph = self.graph.weight * self.graph.degrees[:, None].to(self.penalties.dtype)
        rows = self.rows
        squares = weighted_sums(self.ridge.factors**2, rows.indices, rows.indptr, self.extra)
        return self.shared + of_graph + squares

    def product(self, items: Float[Tensor, "items k"]) -> Float[Tensor, "items k"]:
        """A V, in O(nnz k)."""
        result = items * self.shared + self.graph.product(items)
        unobserved = self.ridge.unobserved_weight
        if unobserved != 1 or self.rows.weights is not None:
            for block in self.blocks:
                met = self.ridge.factors[block.columns]
                extra = 1 - unobserved
                if block.weights is not None:
                    extra = (block.weights.to(met.dtype) - unobserved)[:, :, None]
                found = extra * (met @ items[block.rows][:, :, None])
                result[block.rows] += (met.mT @ found)[:, :, 0]
        return result

    def solve(
        self, items: Float[Tensor, "items k"], iterations: int, tolerance: float
    ) -> Float[Tensor, "items k"]:
        """V nearer to the solution than `items`, by conjugate gradient."""
        start, basis = items @ self.ridge.basis, self.ridge.basis
        found = conjugate_gradient(
            self.product, self.right(), start, self.diagonal(), iterations, tolerance
        )
        return found @ basis.T


def conjugate_gradient(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    start: Tensor,
    diagonal: Tensor,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """The solution of A x = b for positive definite A, preconditioned by A's diagonal.

    Args:
        product: A x.
        right: b.
        start: the first x; every step is nearer to the solution than it in A's norm.
        diagonal: of A.
        iterations: steps at most.
        tolerance: length of the residual, as a share of b's, at which it ends.
    """
    found = start
    residual = right - product(start)
    direction = preconditioned = residual / diagonal
    along = _dot(residual, preconditioned)
    goal = tolerance**2 * _dot(right, right)
    for _ in range(iterations):
        if _dot(residual, residual) <= goal:
            break
        image = product(direction)
        curvature = _dot(direction, image)
        if curvature == 0:  # all is so small that it underflows
            break
        step = along / curvature
        found = found + step * direction
        residual = residual - step * image
        preconditioned = residual / diagonal
        before, along = along, _dot(residual, preconditioned)
        direction = preconditioned + along / before * direction
    return found


def _dot(left: Tensor, right: Tensor) -> float:
    return float((left * right).sum(dtype=torch.float64))
