"""Miscalibration: how far the genres of the recommended items are from those of the history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array, diags_array, hstack

from nearfar.metrics.metric import JudgedRanking, UserMetric

ALPHA = 0.01
"""The weight of p mixed into q, so that the divergence is finite for genres missing from q."""


@dataclass(frozen=True)
class Miscalibration(UserMetric):
    """Miscalibration@k = KL(p || (1 - a) q + a p) over genres, a = 0.01, in nats; 0 is calibrated.

    p(g) and q(g) are means over the items of the history and of the top k; each item spreads its
    weight of 1 evenly over its genres.

    Source: Steck 2018, "Calibrated recommendations", equations 2, 3 and 6.
    Differs: all items of the history and all places weigh the same. Items without genres count as
    one genre of their own. For a user without a history, p is that of the training interactions.
    A user with no candidates has -log a, the value for a list with no genre of the history.

    Raises:
        DataError: the items have no genres.

    Examples:
        >>> from scipy.sparse import csr_array
        >>> ranking = nf.Ranking(np.array([[0, 1]]), np.array([[0.9, 0.5]]))
        >>> hits, genres = np.zeros((1, 2), bool), csr_array([[1, 0], [1, 0], [0, 1]])
        >>> counts = (np.array([1]), np.array([9, 5, 4]), 20)
        >>> judged = nf.JudgedRanking(ranking, hits, *counts, csr_array([[0, 0, 1]]), genres)
        >>> round(float(nf.Miscalibration(2).per_user(judged)[0]), 2)
        4.61
    """

    unit: ClassVar[str] = "nats"
    by_genre: ClassVar[bool] = True

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        genres, histories = judged.known_genres(self), judged.known_histories(self)
        genre_weights = _genre_weights(genres)
        history = _normalised(csr_array(histories @ genre_weights))
        training = judged.item_counts @ genre_weights
        training = training / max(training.sum(), 1)
        q = _normalised(
            csr_array(judged.truncated(self.depth).ranked_items() @ genre_weights)
        ).tocoo()
        has_history = np.diff(histories.indptr) > 0
        p = np.asarray(history[q.row, q.col]).reshape(-1)
        p = np.where(has_history[q.row], p, training[q.col])
        # Start from the cost -p log a of every genre with q = 0, and correct genres with q > 0.
        floor = p * np.log(ALPHA)
        ratio = (1 - ALPHA) * q.data / np.where(p > 0, p, 1) + ALPHA
        gain = np.bincount(q.row, p * np.log(ratio) - floor, minlength=judged.n_users)
        # Equal distributions may give -1e-16 by rounding.
        return np.maximum(-np.log(ALPHA) - gain, 0)


def _genre_weights(genres: csr_array) -> csr_array:
    """Return items x genres with rows that sum to 1; the last column is for items with no genre."""
    n = np.diff(genres.indptr)
    none = csr_array((n == 0).astype(np.float64)[:, None])
    return csr_array(hstack([diags_array(1 / np.maximum(n, 1)) @ genres, none], format="csr"))


def _normalised(sums: csr_array) -> csr_array:
    """Divide each row by its sum; an empty row stays empty."""
    totals = np.asarray(sums.sum(axis=1)).reshape(-1)
    return csr_array(diags_array(1 / np.where(totals > 0, totals, 1)) @ sums)
