"""PLRec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.als import Sides
from nearfar.algorithms.mf import projection
from nearfar.algorithms.regularised_gram import SPARSE_COST
from nearfar.algorithms.requirements import Requirements, factor_bytes
from nearfar.algorithms.statistics import Statistics
from nearfar.core.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.factors import Factors, LinearFolding
from nearfar.models.least_squares import row_sums
from nearfar.train.run import Run
from nearfar.vae.initialisers.spectral import leading_directions

ORTHONORMAL_COST = 4.0
"""Time of a multiplication for the orthonormal basis, which is computed in float64, relative to one
of a float32 product."""


@dataclass(frozen=True)
class PLRec(Algorithm):
    """Projected linear recommendation: a ridge regression on histories projected to k dimensions.

    Z = X D V, W = (Z'Z + l2 I)^-1 Z'X, scores = x D V W; V the k leading right singular vectors
    of X, D = diag(popularity^-e). Where interactions have weights, they are the entries of X.

    Source: Sedhain, Bui, Kawale, Vlassis, Kveton, Menon, Bui and Sanner, Practical Linear Models
    for Large-Scale One-Class Collaborative Filtering, 2016 (e = 0); the weights and settings of
    Shenbin and Nikolenko, ImplicitSLIM, 2024, and its code.

    Differs: Wu et al., Noise Contrastive Estimation for One-Class Collaborative Filtering, 2019,
    scale V by the square root of the singular values, and use popularity in the decomposition.

    Args:
        n_factors: number of factors k. By default a sixteenth of the number of items, from 512 to
            1,024; no more than there are users or items.
        l2: weight of the ridge penalty.
        popularity_exponent: exponent e; the higher, the less the popular items of a history count.
        iterations: power iterations of the randomised decomposition.

    Examples:
        >>> model = nf.PLRec(n_factors=4).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.83
    """

    WEIGHTED: ClassVar[bool] = True

    n_factors: PositiveInt | None = None
    l2: PositiveFloat = 10.0
    popularity_exponent: float = 0.4
    iterations: NonNegativeInt = 4

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        """Return the number of factors for these data.

        Differs: not published; measured in docs/defaults.md.
        """
        return {"n_factors": min(max(data.n_items // 16, 512), 1024, data.rank)}

    def requirements(self, train: Interactions) -> Requirements:
        k = min(self.resolved(train).n_factors or 0, train.n_users, train.n_items)
        rounds = self.iterations + 2
        sides = ORTHONORMAL_COST * k**2 * (train.n_users + train.n_items)
        return Requirements(
            factor_bytes(k, train),
            n_multiplications=rounds * (sides + 2 * SPARSE_COST * k * train.n_interactions),
        )

    @torch.no_grad()
    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Factors:
        """Fit on the CPU; memory holds about (users + items) k numbers."""
        check_not_empty(train)
        run = run or Run()
        sides = Sides.of(train, torch.device("cpu"), weighted=True)
        rng = torch.Generator().manual_seed(derive(run.seed, "plrec"))
        values = sides.by_user.weights
        values = torch.ones(train.n_interactions) if values is None else values
        n_factors = self.resolved(train).n_factors
        assert n_factors is not None
        k = min(n_factors, train.n_users, train.n_items)
        directions = leading_directions(sides.by_user, values, k, self.iterations, rng)
        popularity = sides.by_item.counts.clamp(min=1)
        projected = directions * popularity[:, None] ** -self.popularity_exponent
        users = row_sums(projected, sides.by_user)
        weights = row_sums(projection(users, self.l2), sides.by_item)
        return Factors(
            sides.in_data_order(weights),
            np.zeros(train.n_items, np.float32),
            LinearFolding(sides.in_data_order(projected), np.zeros(k, np.float32)),
            train.item_counts,
            train.n_users,
        )
