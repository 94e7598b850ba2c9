"""Miscalibration: whether the shown items have the genres of the history, in its proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array, diags_array, hstack

from nearfar.metrics.metric import Judged, UserMetric

ALPHA = 0.01
"""How much of p is mixed into q, so that a genre that is not shown costs a finite amount."""


@dataclass(frozen=True)
class Miscalibration(UserMetric):
    """Miscalibration@k = KL(p || (1 - a) q + a p) over genres, a = 0.01, in nats; 0 is calibrated.

    p(g) and q(g) are means over the items of the history and of the top k; each item spreads its
    weight of 1 evenly over its genres.

    Source: Steck 2018, "Calibrated recommendations", equations 2, 3 and 6.
    Differs: all items of the history and all places weigh the same. Items without genres count as
    one genre of their own. A user without history is held to the training interactions' genres; a
    user with no candidates has -log a, as one who is shown nothing of the history's genres.

    Raises:
        DataError: the items have no genres.

    Examples:
        >>> from scipy.sparse import csr_array
        >>> ranking = nf.Ranking(np.array([[0, 1]]), np.array([[0.9, 0.5]]))
        >>> hits, genres = np.zeros((1, 2), bool), csr_array([[1, 0], [1, 0], [0, 1]])
        >>> rest = (np.array([1]), np.array([9, 5, 4]), 20, csr_array([[0, 0, 1]]), genres)
        >>> shown = nf.Judged(ranking, hits, *rest)
        >>> round(float(nf.Miscalibration(2).per_user(shown)[0]), 2)
        4.61
    """

    unit: ClassVar[str] = "nats"
    by_genre: ClassVar[bool] = True

    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        genres, histories = judged.known_genres(self), judged.known_histories(self)
        spread = _spread(genres)
        history = _means(csr_array(histories @ spread))
        everyone = judged.item_counts @ spread
        everyone = everyone / max(everyone.sum(), 1)
        q = _means(csr_array(judged.first(self.depth).shown() @ spread)).tocoo()
        has_history = np.diff(histories.indptr) > 0
        p = np.asarray(history[q.row, q.col]).reshape(-1)
        p = np.where(has_history[q.row], p, everyone[q.col])
        # Each genre of p costs -p log a where q is 0; where it is not, the sum is put right.
        floor = p * np.log(ALPHA)
        ratio = (1 - ALPHA) * q.data / np.where(p > 0, p, 1) + ALPHA
        better = np.bincount(q.row, p * np.log(ratio) - floor, minlength=judged.n_users)
        # Rounding of equal distributions gives -1e-16.
        return np.maximum(-np.log(ALPHA) - better, 0)


def _spread(genres: csr_array) -> csr_array:
    """Items x genres, each row adding up to 1; the last column is that of items without genres."""
    n = np.diff(genres.indptr)
    none = csr_array((n == 0).astype(np.float64)[:, None])
    return csr_array(hstack([diags_array(1 / np.maximum(n, 1)) @ genres, none], format="csr"))


def _means(sums: csr_array) -> csr_array:
    """Each row over its sum; an empty row stays empty."""
    totals = np.asarray(sums.sum(axis=1)).reshape(-1)
    return csr_array(diags_array(1 / np.where(totals > 0, totals, 1)) @ sums)
