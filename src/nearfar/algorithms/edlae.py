"""EDLAE."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.ease import closed_form
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
        l2: weight of the ridge penalty, in users.
    """

    dropout: float = 0.33
    l2: float = 300.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.dropout < 1 or self.l2 <= 0:
            raise SettingsError(
                f"dropout {self.dropout} must be from 0 to below 1, l2 {self.l2} above 0"
            )

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> ItemItem:
        """Fit in place in one float32 matrix of items x items.

        Raises:
            DoesNotFitError: that matrix does not fit in memory; found out before it starts.
        """
        check_not_empty(train)
        odds = self.dropout / (1 - self.dropout)
        penalties = (odds * train.item_counts + self.l2).astype(np.float32)
        return closed_form(train, penalties, "EDLAE")
