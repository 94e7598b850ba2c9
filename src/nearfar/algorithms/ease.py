"""EASE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.regularised_gram import (
    inverse_of_regularised_gram,
    n_multiplications,
    n_pairs,
    peak_bytes,
)
from nearfar.algorithms.requirements import Requirements
from nearfar.algorithms.statistics import Statistics
from nearfar.core import memory
from nearfar.core.ranges import PositiveFloat, Share
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.item_item import ItemItem
from nearfar.train.run import Run

DEFAULT_L2 = 9.0
DEFAULT_L2_EXPONENT = 0.25
"""The default ridge penalty; see `default_l2`."""

DEFAULT_USER_EXPONENT = 0.25
"""Better than 0 on nine of ten data sets for EASE, on all ten for EDLAE (docs/defaults.md)."""


@dataclass(frozen=True)
class EASE(Algorithm):
    """The closed-form item-item model with a zero diagonal.

    B = I - P diag(1/P), P = (X'WX + l2 I)^-1, B_ii = 0. W is diagonal: a user with n interactions
    weighs n^-user_exponent, times a constant that makes the mean over interactions 1. Where
    interactions have weights, the entries of X are their square roots. A weight common to all items
    of a user then weights the user's row of the least squares.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019, Eq. 8.

    Differs: the published algorithm has no W; `user_exponent` 0 is that algorithm, and all presets
    have it.

    Args:
        l2: weight of the ridge penalty, in users. By default computed from the data
            (docs/defaults.md).
        user_exponent: how much less a user with many interactions counts per interaction: 0 counts
            all interactions alike, 1 all users alike.

    Examples:
        >>> model = nf.EASE(l2=200).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.9
    """

    WEIGHTED: ClassVar[bool] = True
    EARLIER: ClassVar[Mapping[str, Any]] = {"user_exponent": 0.0}

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
        return closed_form(train, l2, self.user_exponent, "EASE")


def default_l2(data: Statistics) -> float:
    """Return the ridge penalty for these data, with three digits.

    9 m / excess^(1/4), m the interactions per user, or per item where there are more items. The
    less the data differ from chance, the higher the penalty.

    Differs: not published; within 2% of the best validation NDCG@100 on seven data sets, for
    EDLAE too (docs/defaults.md).
    """
    value = DEFAULT_L2 * data.longer_side / data.excess**DEFAULT_L2_EXPONENT
    return float(f"{value:.3g}")


def closed_form_requirements(train: Interactions) -> Requirements:
    """Return what a fit by `closed_form` requires."""
    sizes = train.n_users, train.n_items, train.n_interactions
    return Requirements(peak_bytes(*sizes), n_multiplications(*sizes), n_pairs(train.x))


def closed_form(
    train: Interactions, l2: float, user_exponent: float, what: str, *, odds: float = 0.0
) -> ItemItem:
    """Return the model B = I - P diag(1/P), P = (X'WX + D)^-1, with a zero diagonal.

    Args:
        train: training interactions X.
        l2: ridge penalty common to all items.
        user_exponent: see `EASE`; it determines W.
        what: the algorithm, for the error message.
        odds: further penalty of an item, relative to its entry on the diagonal of X'WX; the
            diagonal matrix D holds the sums.

    Raises:
        DoesNotFitError: the matrix of items x items does not fit in memory.
        DivergedError: the regularised Gram matrix is not positive definite in float32.
    """
    _require_memory(train, what)
    x = user_weighted(train, user_exponent)
    squares = np.bincount(x.indices, x.data, minlength=train.n_items)
    penalties = (odds * squares + l2).astype(np.float32)
    np.sqrt(x.data, out=x.data)
    inverse = inverse_of_regularised_gram(x, penalties)
    return ItemItem(weights_from_inverse(inverse), train.item_counts, train.n_users)


def user_weighted(train: Interactions, exponent: float) -> csr_array:
    """Return the interactions with their weights times n^-exponent; the mean weight is 1.

    Args:
        train: training interactions; n is the number of a user's.
        exponent: 0 changes nothing.
    """
    x = train.weighted
    counts = np.diff(x.indptr)
    values = np.repeat((np.maximum(counts, 1.0) ** -exponent).astype(np.float32), counts)
    values *= x.data
    values /= values.mean(dtype=np.float64)
    return csr_array((values, x.indices, x.indptr), shape=x.shape)


def _require_memory(train: Interactions, what: str) -> None:
    """Raise if a float32 matrix of items x items does not fit in memory."""
    needed = peak_bytes(train.n_users, train.n_items, train.n_interactions)
    fits = int(train.n_items * (memory.available_bytes() / needed) ** 0.5)
    memory.require(
        needed,
        f"{what} on {train.n_items:,} items",
        f"about {fits:,} items would fit: keep items with more users (items with at least n), "
        "or train an autoencoder, whose memory grows with items and not with their square",
    )


def weights_from_inverse(
    inverse: Float[np.ndarray, "items items"],
) -> Float[np.ndarray, "items items"]:
    """Return B = I - P diag(1/diag P) with a zero diagonal, in the memory of P.

    The result is in C order, so that the rows of a history's items are contiguous.
    """
    weights = inverse.T  # the inverse is symmetric: its transpose is itself in C order
    weights /= -np.diagonal(inverse).copy()[None, :]
    np.fill_diagonal(weights, 0)
    return weights
