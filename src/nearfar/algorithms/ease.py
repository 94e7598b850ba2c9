"""EASE."""

from __future__ import annotations

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
from nearfar.core.ranges import PositiveFloat
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.item_item import ItemItem
from nearfar.train.run import Run

DEFAULT_L2 = 9.0
DEFAULT_L2_EXPONENT = 0.25
"""The default ridge penalty; see `default_l2`."""


@dataclass(frozen=True)
class EASE(Algorithm):
    """The closed-form item-item model with a zero diagonal.

    B = I - P diag(1/P), P = (X'X + l2 I)^-1, B_ii = 0. Where interactions have weights, the entries
    of X are their square roots. A weight common to all items of a user then weights the user's row
    of the least squares.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, 2019, Eq. 8.

    Args:
        l2: weight of the ridge penalty, in users. By default computed from the data
            (docs/defaults.md).

    Examples:
        >>> model = nf.EASE(l2=200).fit(split.train)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.9
    """

    WEIGHTED: ClassVar[bool] = True

    l2: PositiveFloat | None = None

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
        penalties = np.full(train.n_items, self.resolved(train).l2, np.float32)
        return closed_form(train, penalties, "EASE")


def default_l2(data: Statistics) -> float:
    """Return the ridge penalty for these data, with three digits.

    9 m / excess^(1/4), m the interactions per user, or per item where there are more items. The
    less the data differ from chance, the higher the penalty.

    Differs: not published; within 1.5% of the best validation NDCG@100 on seven data sets, for
    EDLAE too (docs/defaults.md).
    """
    value = DEFAULT_L2 * data.longer_side / data.excess**DEFAULT_L2_EXPONENT
    return float(f"{value:.3g}")


def closed_form_requirements(train: Interactions) -> Requirements:
    """Return what a fit by `closed_form` requires."""
    sizes = train.n_users, train.n_items, train.n_interactions
    return Requirements(peak_bytes(*sizes), n_multiplications(*sizes), n_pairs(train.x))


def closed_form(train: Interactions, penalties: Float[np.ndarray, " items"], what: str) -> ItemItem:
    """Return the model B = I - P diag(1/P), P = (X'X + diag(penalties))^-1, with a zero diagonal.

    Args:
        train: training interactions X.
        penalties: ridge penalty per item.
        what: the algorithm, for the error message.

    Raises:
        DoesNotFitError: the matrix of items x items does not fit in memory.
        DivergedError: the regularised Gram matrix is not positive definite in float32.
    """
    _require_memory(train, what)
    inverse = inverse_of_regularised_gram(root_weighted(train), penalties)
    return ItemItem(weights_from_inverse(inverse), train.item_counts, train.n_users)


def root_weighted(train: Interactions) -> csr_array:
    """Return X with the square roots of the weights as entries, or ones without weights."""
    x = train.weighted
    return csr_array((np.sqrt(x.data), x.indices, x.indptr), shape=x.shape)


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
