"""WMF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.als import Sides, alternate
from nearfar.algorithms.requirements import Requirements, factor_bytes
from nearfar.algorithms.statistics import Statistics
from nearfar.core.ranges import NonNegativeFloat, PositiveFloat, PositiveInt, PositiveShare
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.factors import Factors, LeastSquaresFolding
from nearfar.models.least_squares import Confidence, weighted_least_squares
from nearfar.train.run import Run

UNOBSERVED_SHARE = 10.0
DEFAULT_L2 = 0.012
DEFAULT_L2_EXPONENT = 0.25
SHORT_HISTORY = 10.0
MOST_FOR_SHORT = 3.0
FEW_ITEMS = 1200
MOST_FOR_FEW = 2.0
"""The default weight and penalty; see `WMF.data_defaults`."""


@dataclass(frozen=True)
class WMF(Algorithm):
    """Weighted matrix factorisation by alternating least squares (iALS).

    It minimises
    sum_ui w_ui (x_ui - u_u.v_i)^2 + l2 (sum_u s_u^e |u_u|^2 + sum_i s_i^e |v_i|^2), with w = 1
    on observed entries and a on the others, s_u and s_i the sums of w over a row and a column, and
    e the exponent. Each user and each item is a separate ridge regression, solved exactly, as is
    folding in. With a = 1 and e = 0 it is MF without bias. Where interactions have weights, they
    are the w of observed entries.

    Source: Hu, Koren and Volinsky, Collaborative Filtering for Implicit Feedback Datasets, 2008;
    Rendle, Krichene, Zhang and Koren, Revisiting the Performance of iALS on Item Recommendation
    Benchmarks, 2022, for the penalty by frequency and the initial factors.

    Differs: Hu et al. weight observed entries by 1 + alpha, the others by 1: a = 1 / (1 + alpha),
    and l2 is theirs times a. Rendle et al. weight all entries by alpha0 and observed ones by 1
    more, with target 1: a = alpha0 / (1 + alpha0), l2 is theirs times (1 + alpha0)^e, and scores
    are 1 + alpha0 times theirs.

    Args:
        n_factors: number of factors k. By default a thirty-second of the number of items, from 256
            to 512; no more than there are users or items.
        unobserved_weight: weight a of unobserved entries. By default computed from the data
            (docs/defaults.md).
        l2: weight of the ridge penalty. By default computed from the data (docs/defaults.md).
        l2_exponent: exponent e; 1 penalises in proportion to the weight of a row's entries.
        iterations: how often to solve for the users and then for the items.
        init_scale: standard deviation of the initial factors, times the square root of k.

    Examples:
        >>> model = nf.WMF(n_factors=4).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.67
    """

    WEIGHTED: ClassVar[bool] = True

    n_factors: PositiveInt | None = None
    unobserved_weight: PositiveShare | None = None
    l2: PositiveFloat | None = None
    l2_exponent: NonNegativeFloat = 1.0
    iterations: PositiveInt = 10
    init_scale: PositiveFloat = 0.1

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        """Return the number of factors, the unobserved weight and the penalty for these data.

        a = `UNOBSERVED_SHARE` n / I (at most 1), n the interactions per user and I the items: the
        unobserved entries of a user then weigh about `UNOBSERVED_SHARE` times the observed ones.
        l2 = `DEFAULT_L2` / excess^(1/4), times the larger of (10 / n)^2 for short histories, from 1
        to 3, and (1200 / I)^(1/2) for few items, from 1 to 2. Other exponents than 1 keep the
        penalty of the mean user.

        Differs: not published; measured in docs/defaults.md.
        """
        weight = min(1.0, UNOBSERVED_SHARE * data.history / data.n_items)
        if self.unobserved_weight is not None:
            weight = self.unobserved_weight
        mass = data.history + weight * (data.n_items - data.history)
        for_short_histories = min((SHORT_HISTORY / data.history) ** 2, MOST_FOR_SHORT)
        for_few_items = min((FEW_ITEMS / data.n_items) ** 0.5, MOST_FOR_FEW)
        l2 = DEFAULT_L2 / data.excess**DEFAULT_L2_EXPONENT
        l2 *= max(1.0, for_short_histories, for_few_items)
        l2 *= mass ** (1 - self.l2_exponent)
        return {
            "n_factors": min(max(data.n_items // 32, 256), 512, data.rank),
            "unobserved_weight": float(f"{weight:.3g}"),
            "l2": float(f"{l2:.3g}"),
        }

    def requirements(self, train: Interactions) -> Requirements:
        return Requirements(factor_bytes(self.resolved(train).n_factors or 0, train))

    @torch.no_grad()
    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Factors:
        """Fit in float32; memory holds (users + items) k numbers and a block of rows.

        Raises:
            DivergedError: a row's system is singular in float32, because l2 is too small.
        """
        check_not_empty(train)
        run = run or Run()
        sides = Sides.of(train, run.torch_device, weighted=True)
        resolved = self.resolved(train)
        n_factors, weight, l2 = resolved.n_factors, resolved.unobserved_weight, resolved.l2
        assert n_factors is not None
        assert weight is not None
        assert l2 is not None
        confidence = Confidence(weight, l2, self.l2_exponent)
        items = alternate(
            sides.initial_factors(n_factors, self.init_scale, run),
            self.iterations,
            lambda items: weighted_least_squares(sides.by_user, items, confidence),
            lambda users, _: weighted_least_squares(sides.by_item, users, confidence),
            run,
        )
        return weighted_factors(sides.in_data_order(items), confidence, train)


def weighted_factors(
    items: Float[np.ndarray, "items k"], confidence: Confidence, train: Interactions
) -> Factors:
    """Return the model of these item factors; it folds in as training solves for users."""
    return Factors(
        items,
        np.zeros(train.n_items, np.float32),
        LeastSquaresFolding(items, confidence),
        train.item_counts,
        train.n_users,
    )
