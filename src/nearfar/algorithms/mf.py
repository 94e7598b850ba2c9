"""MF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.als import Sides, alternate
from nearfar.algorithms.requirements import Requirements, factor_bytes
from nearfar.algorithms.statistics import Statistics
from nearfar.core.ranges import PositiveFloat, PositiveInt
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.kernels.rows import Rows
from nearfar.models.factors import Factors, LinearFolding
from nearfar.models.least_squares import row_sums
from nearfar.train.run import Run

DEFAULT_L2 = 0.8
SIDES_EXPONENT = 0.15
"""The default penalty; see `MF.data_defaults`."""


@dataclass(frozen=True)
class MF(Algorithm):
    """Matrix factorisation by alternating least squares, with the same weight for all entries.

    It minimises |X - 1 b' - U V'|^2 + l2 (|U|^2 + |V|^2), b the items' means. An iteration costs
    O(nnz k + (users + items) k^2 + k^3). Folding in is linear in the history.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, 2008,
    with uniform weights. Settings: Shenbin and Nikolenko, ImplicitSLIM, 2024, and its code.

    Differs: that code has one penalty for U and one for V. A single one gives the same model: U/c
    and c V have the same product, so only the product of the penalties counts, and l2 is its root.
    The number of iterations is fixed here; that code stops by validation.

    Args:
        n_factors: number of factors k.
        l2: weight of the ridge penalty of both sides, in entries. By default computed from the
            data (docs/defaults.md).
        iterations: how often to solve for the users and then for the items.
        item_bias: whether to subtract the items' means first.

    Examples:
        >>> model = nf.MF(n_factors=4).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.9
    """

    n_factors: PositiveInt = 256
    l2: PositiveFloat | None = None
    iterations: PositiveInt = 15
    item_bias: bool = True

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        """Return the penalty for these data, with three digits.

        l2 = .8 s (users / items)^.15, s the largest singular value of noise. A penalty of l2 on
        both sides subtracts l2 from every singular value, which removes those of noise.

        Differs: not published; measured in docs/defaults.md.
        """
        sides = (data.n_users / data.n_items) ** SIDES_EXPONENT
        return {"l2": float(f"{DEFAULT_L2 * data.noise * sides:.3g}")}

    def requirements(self, train: Interactions) -> Requirements:
        return Requirements(factor_bytes(self.n_factors, train))

    @torch.no_grad()
    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Factors:
        check_not_empty(train)
        run = run or Run()
        l2 = self.resolved(train).l2
        assert l2 is not None
        sides = Sides.of(train, run.torch_device)
        means = sides.by_item.counts / train.n_users * self.item_bias
        ones = torch.ones(train.n_users, device=means.device)
        items = alternate(
            sides.initial_factors(self.n_factors, 1.0, run),
            self.iterations,
            lambda items: half_step(sides.by_user, items, l2, ones, means),
            lambda users, _: half_step(sides.by_item, users, l2, means, ones),
            run,
        )
        projected = projection(items, l2)
        folding = LinearFolding(sides.in_data_order(projected), -(means @ projected).cpu().numpy())
        return Factors(
            sides.in_data_order(items),
            sides.in_data_order(means[:, None])[:, 0],
            folding,
            train.item_counts,
            train.n_users,
        )


def half_step(
    rows: Rows,
    factors: Float[Tensor, "columns k"],
    l2: float,
    row_offset: Float[Tensor, " rows"],
    column_offset: Float[Tensor, " columns"],
) -> Float[Tensor, "rows k"]:
    """Return argmin_U |X - r c' - U V'|^2 + l2 |U|^2 = (X - r c') P, with P from `projection`.

    Args:
        rows: X.
        factors: V.
        l2: weight of the ridge penalty.
        row_offset: r of the offset r c'.
        column_offset: c of the offset r c'.
    """
    projected = projection(factors, l2)
    return row_sums(projected, rows) - torch.outer(row_offset, column_offset @ projected)


def projection(factors: Float[Tensor, "columns k"], l2: float) -> Float[Tensor, "columns k"]:
    """Return P = V (V'V + l2 I)^-1, solved in float64; the factors of a row x are x P."""
    gram = (factors.T @ factors).double()
    gram.diagonal().add_(l2)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
    return factors @ inverse.to(factors.dtype)
