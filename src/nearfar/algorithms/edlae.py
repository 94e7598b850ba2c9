"""EDLAE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.ease import closed_form, default_l2
from nearfar.algorithms.statistics import Statistics
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.item_item import ItemItem
from nearfar.train.run import Run


@dataclass(frozen=True)
class EDLAE(Algorithm):
    """EASE with emphasised denoising: items are penalised in proportion to their popularity.

    B as in EASE with P = (X'X + diag(p / (1 - p) diag(X'X) + l2))^-1; p = 0 is EASE.

    Source: Steck, Autoencoders that don't overfit towards the Identity, 2020, the case of a full
    rank with a zero diagonal.

    Args:
        dropout: p, the probability that the denoising drops an interaction.
        l2: weight of the ridge penalty, in users. By default computed from the data, as in EASE.
    """

    dropout: float = 0.33
    l2: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1 or (self.l2 is not None and self.l2 <= 0):
            raise SettingsError(
                f"dropout {self.dropout} must be from 0 to below 1, l2 {self.l2} above 0"
            )

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        return {"l2": default_l2(data)}

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> ItemItem:
        """Fit in place in one float32 matrix of items x items.

        Raises:
            DoesNotFitError: that matrix does not fit in memory; found out before it starts.
        """
        check_not_empty(train)
        l2 = self.resolved(train).l2
        assert l2 is not None
        odds = self.dropout / (1 - self.dropout)
        penalties = (odds * train.item_counts + l2).astype(np.float32)
        return closed_form(train, penalties, "EDLAE")
