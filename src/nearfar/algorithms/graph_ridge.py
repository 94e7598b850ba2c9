"""Weighted ridge regression of all items at once, coupled by a graph."""

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
    """A graph's Laplacian L on a device, with its weight g in the objective."""

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
        """Return g L V."""
        values = self.values.to(items.dtype)
        return self.weight * weighted_sums(items, self.rows.indices, self.rows.indptr, values)


@dataclass(frozen=True, eq=False)
class ItemSystem:
    """The normal equations A V = B of the items' half step; A is never built.

    Row i of A V is (a U'U + (1 - a) U_S'U_S + p_i I) v_i + g (L V)_i, and row i of B is U_S' 1,
    with S the users of item i. With weights w_u of entries, w_u - a replaces 1 - a, and w
    replaces 1. 2 (A V - B) is the gradient of the objective in V. Everything is in the basis where
    U'U is diagonal, because A is then dominated by its diagonal, which preconditions it.
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
    def extra_weights(self) -> Float[Tensor, " nnz"]:
        """Return how much more each observed entry weighs than an unobserved one."""
        weights = self.rows.weights
        if weights is None:
            weights = torch.ones(len(self.rows.indices), device=self.penalties.device)
        return weights.to(self.penalties.dtype) - self.ridge.unobserved_weight

    @cached_property
    def blocks(self) -> list[RowBlock]:
        return list(blocks(self.rows, len(self.ridge.eigenvalues)))

    @property
    def dense_diagonal(self) -> Float[Tensor, "items k"]:
        """Return the diagonals of a U'U + p_i I."""
        unobserved = self.ridge.unobserved_weight * self.ridge.eigenvalues
        return unobserved + self.penalties[:, None]

    def right_side(self) -> Float[Tensor, "items k"]:
        """Return B."""
        return row_sums(self.ridge.factors, self.rows)

    def diagonal(self) -> Float[Tensor, "items k"]:
        """Return the diagonal of A."""
        graph_diagonal = self.graph.weight * self.graph.degrees[:, None].to(self.penalties.dtype)
        rows = self.rows
        squares = weighted_sums(
            self.ridge.factors**2, rows.indices, rows.indptr, self.extra_weights
        )
        return self.dense_diagonal + graph_diagonal + squares

    def product(self, items: Float[Tensor, "items k"]) -> Float[Tensor, "items k"]:
        """Return A V, in O(nnz k)."""
        result = items * self.dense_diagonal + self.graph.product(items)
        unobserved = self.ridge.unobserved_weight
        if unobserved != 1 or self.rows.weights is not None:
            for block in self.blocks:
                users = self.ridge.factors[block.columns]
                extra = 1 - unobserved
                if block.weights is not None:
                    extra = (block.weights.to(users.dtype) - unobserved)[:, :, None]
                predictions = extra * (users @ items[block.rows][:, :, None])
                result[block.rows] += (users.mT @ predictions)[:, :, 0]
        return result

    def solve(
        self, items: Float[Tensor, "items k"], iterations: int, tolerance: float
    ) -> Float[Tensor, "items k"]:
        """Return V after conjugate gradient from `items`; see `conjugate_gradient`."""
        basis = self.ridge.basis
        solution = conjugate_gradient(
            self.product, self.right_side(), items @ basis, self.diagonal(), iterations, tolerance
        )
        return solution @ basis.T


def conjugate_gradient(
    product: Callable[[Tensor], Tensor],
    right_side: Tensor,
    start: Tensor,
    diagonal: Tensor,
    iterations: int,
    tolerance: float,
) -> Tensor:
    """Solve A x = b for positive definite A, preconditioned by A's diagonal.

    Args:
        product: computes A x.
        right_side: b.
        start: initial x; each step brings x closer to the solution in A's norm.
        diagonal: diagonal of A.
        iterations: maximum number of steps.
        tolerance: stops at a residual of this length, as a share of the length of b.
    """
    solution = start
    residual = right_side - product(start)
    direction = preconditioned = residual / diagonal
    residual_norm = _dot(residual, preconditioned)
    goal = tolerance**2 * _dot(right_side, right_side)
    for _ in range(iterations):
        if _dot(residual, residual) <= goal:
            break
        image = product(direction)
        curvature = _dot(direction, image)
        if curvature == 0:  # underflow
            break
        step = residual_norm / curvature
        solution = solution + step * direction
        residual = residual - step * image
        preconditioned = residual / diagonal
        previous_norm, residual_norm = residual_norm, _dot(residual, preconditioned)
        direction = preconditioned + residual_norm / previous_norm * direction
    return solution


def _dot(left: Tensor, right: Tensor) -> float:
    return float((left * right).sum(dtype=torch.float64))
