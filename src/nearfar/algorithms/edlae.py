"""EDLAE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Lt

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.ease import (
    DEFAULT_USER_EXPONENT,
    closed_form,
    closed_form_requirements,
    default_l2,
)
from nearfar.algorithms.requirements import Requirements
from nearfar.algorithms.statistics import Statistics
from nearfar.core.ranges import PositiveFloat, Share
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.item_item import ItemItem
from nearfar.train.run import Run


@dataclass(frozen=True)
class EDLAE(Algorithm):
    """EASE with emphasised denoising: each item's penalty grows with its popularity.

    B as in EASE with P = (X'WX + diag(p / (1 - p) diag(X'WX) + l2))^-1; p = 0 is EASE.
    Weights, of users too, are used as in EASE.

    Source: Steck, Autoencoders that don't overfit towards the Identity, 2020; the full-rank model
    with a zero diagonal.

    Differs: the published algorithm has no W; `user_exponent` 0 is that algorithm, and all presets
    have it.

    Args:
        dropout: p, the probability that the denoising drops an interaction.
        l2: weight of the ridge penalty, in users. By default computed from the data, as in EASE.
        user_exponent: how much less a user with many interactions counts per interaction, as in
            EASE.

    Examples:
        >>> model = nf.EDLAE(dropout=0.3).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.9
    """

    WEIGHTED: ClassVar[bool] = True
    EARLIER: ClassVar[Mapping[str, Any]] = {"user_exponent": 0.0}

    dropout: Annotated[float, Ge(0), Lt(1)] = 0.33
    l2: PositiveFloat | None = None
    user_exponent: Share = DEFAULT_USER_EXPONENT

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        return {"l2": default_l2(data)}

    def requirements(self, train: Interactions) -> Requirements:
        return closed_form_requirements(train)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> ItemItem:
        """Fit in place in one float32 matrix of items x items.

        Raises:
            DoesNotFitError: that matrix does not fit in memory; checked before the fit starts.
        """
        check_not_empty(train)
        l2 = self.resolved(train).l2
        assert l2 is not None
        odds = self.dropout / (1 - self.dropout)
        return closed_form(train, l2, self.user_exponent, "EDLAE", odds=odds)
