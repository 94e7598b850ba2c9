"""Intra-list diversity: how much the recommended items differ from each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64
from scipy.sparse import csr_array, diags_array

from nearfar.metrics.metric import JudgedRanking, UserMetric


@dataclass(frozen=True)
class ILD(UserMetric):
    """ILD@k = mean over pairs i < j of the top k of 1 - cos(g_i, g_j): intra-list diversity.

    With unit vectors v_i = g_i / |g_i| of the n recommended items that have a genre, the sum of
    all cosines is (|sum_i v_i|^2 - n) / 2, so no loop over pairs is needed.

    Notation: g_i, the genres of item i as zeros and ones.
    Source: Ziegler et al. 2005, "Improving recommendation lists through topic diversification",
    whose intra-list similarity is the sum of similarities; as a mean of distances Zhang and Hurley
    2008, "Avoiding monotony".
    Differs: the sources allow any similarity; here it is by genre. Pairs with an item without
    genres are left out; if no pair remains it is 0.

    Raises:
        DataError: the items have no genres.

    Examples:
        >>> from scipy.sparse import csr_array
        >>> ranking = nf.Ranking(np.array([[0, 1, 2]]), np.array([[0.9, 0.5, 0.1]]))
        >>> hits, genres = np.zeros((1, 3), bool), csr_array([[1, 0], [1, 0], [0, 1]])
        >>> n_held_out, item_counts = np.array([1]), np.array([9, 5, 4])
        >>> judged = nf.JudgedRanking(ranking, hits, n_held_out, item_counts, 20, genres=genres)
        >>> round(float(nf.ILD(3).per_user(judged)[0]), 2)
        0.67
    """

    by_genre: ClassVar[bool] = True

    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        genres = judged.known_genres(self)
        lengths = np.sqrt(np.diff(genres.indptr))
        units = csr_array(diags_array(1 / np.maximum(lengths, 1)) @ genres)
        recommended = judged.truncated(self.depth).ranked_items()
        n_with_genres = recommended @ (lengths > 0).astype(np.float64)
        sums = csr_array(recommended @ units)
        n_pairs = n_with_genres * (n_with_genres - 1)
        cosines = np.asarray(sums.multiply(sums).sum(axis=1)).reshape(-1) - n_with_genres
        means = np.divide(cosines, n_pairs, out=np.ones(len(n_with_genres)), where=n_pairs > 0)
        return np.clip(1 - means, 0, 1)
