"""Compare a ranking with the users' held-out items: which places are hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_array, vstack

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import canonical


@dataclass(frozen=True, eq=False)
class JudgedRanking:
    """A ranking with its relevance: the input of every metric.

    Place 1 is column 0. Only places count, since the ranking has broken ties already. An item of
    -1 fills the place of a user with too few candidates and is never a hit.

    `histories` (users x items: the fold-in items) and `genres` (items x genres, ones) are
    optional; metrics that need them call `known_histories` and `known_genres`.

    Notation: H_u, the held-out items of user u; `hits[u, r]` is 1[item at place r + 1 in H_u];
    `n_held_out[u]` = |H_u|; `item_counts[i]` of `n_train_users` training users interacted with i.

    Examples:
        >>> ranking = nf.Ranking(np.array([[3, 1, 0]]), np.array([[0.9, 0.5, 0.1]]))
        >>> hits = np.array([[True, False, True]])
        >>> judged = nf.JudgedRanking(ranking, hits, np.array([2]), np.array([9, 5, 4, 2]), 20)
        >>> float(nf.NDCG(3).per_user(judged)[0]) < 1
        True
        >>> judged.truncated(1).hits.tolist()
        [[True]]
    """

    ranking: Ranking
    hits: Bool[np.ndarray, "users k"]
    n_held_out: Int[np.ndarray, " users"]
    item_counts: Int[np.ndarray, " items"]
    n_train_users: int
    histories: csr_array | None = None
    genres: csr_array | None = None

    @property
    def n_users(self) -> int:
        return self.ranking.n_users

    @property
    def n_items(self) -> int:
        return len(self.item_counts)

    def truncated(self, k: int) -> JudgedRanking:
        """Return the same users with only the best k places.

        Raises:
            SettingsError: the ranking has fewer than k places.
        """
        if k > self.ranking.k:
            raise SettingsError(
                f"a cutoff of {k} on a ranking of {self.ranking.k} places; "
                f"rank at least {k} items per user"
            )
        if k == self.ranking.k:
            return self
        items, scores, hits = (  # copies: a view would keep all places in memory
            np.ascontiguousarray(table[:, :k])
            for table in (self.ranking.items, self.ranking.scores, self.hits)
        )
        return replace(self, ranking=Ranking(items, scores), hits=hits)

    def known_histories(self, metric: object) -> csr_array:
        """Return the fold-in items of every user.

        Raises:
            DataError: they were not given.
        """
        if self.histories is None:
            raise DataError(f"{metric} needs the fold-in items; give judge(..., histories=...)")
        return self.histories

    def known_genres(self, metric: object) -> csr_array:
        """Return the genres of every item.

        Raises:
            DataError: they were not given.
        """
        if self.genres is None:
            raise DataError(f"{metric} needs the genres of items; give judge(..., genres=...)")
        return self.genres

    def ranked_items(self) -> csr_array:
        """Return the ranked items as a sparse matrix of ones, users x items."""
        rows, places = np.nonzero(self.ranking.items >= 0)
        columns = self.ranking.items[rows, places]
        return csr_array((np.ones(len(rows)), (rows, columns)), shape=(self.n_users, self.n_items))

    def recommendation_counts(self) -> Int[np.ndarray, " items"]:
        """Return in how many users' rankings each item appears."""
        items = self.ranking.items
        return np.bincount(items[items >= 0], minlength=self.n_items)


def judge(
    ranking: Ranking,
    held_out: csr_array,
    item_counts: Int[np.ndarray, " items"],
    n_train_users: int,
    *,
    histories: csr_array | None = None,
    genres: csr_array | None = None,
) -> JudgedRanking:
    """Mark the hits of a ranking. Memory grows with the ranking and `held_out`, not users x items.

    Args:
        ranking: the best items of every user.
        held_out: users x items; its non-zeros are the held-out items.
        item_counts: number of training users who interacted with each item.
        n_train_users: number of training users.
        histories: users x items, the fold-in items of each user.
        genres: items x genres.

    Raises:
        DataError: the sizes disagree, an item does not exist, or a user's ranking repeats one.
    """
    n_users, n_items = _shape(held_out)
    if ranking.n_users != n_users:
        raise DataError(
            f"a ranking for {ranking.n_users} users, but held-out items of {n_users}; give both of "
            "the same users"
        )
    if len(item_counts) != n_items:
        raise DataError(
            f"training counts of {len(item_counts)} items, but held-out items of {n_items}; give "
            "one count per item"
        )
    _check_items(ranking.items, n_items)
    held_out = canonical(held_out)
    n_held_out = np.diff(held_out.indptr).astype(np.int64)
    return JudgedRanking(
        ranking=ranking,
        hits=_find_hits(ranking.items, held_out, n_held_out),
        n_held_out=n_held_out,
        item_counts=np.asarray(item_counts),
        n_train_users=n_train_users,
        histories=None if histories is None else canonical(histories),
        genres=genres,
    )


def joined(parts: Sequence[JudgedRanking]) -> JudgedRanking:
    """Concatenate parts with different users and the same training counts."""
    if len(parts) == 1:
        return parts[0]
    return replace(
        parts[0],
        ranking=Ranking(
            np.concatenate([part.ranking.items for part in parts]),
            np.concatenate([part.ranking.scores for part in parts]),
        ),
        hits=np.concatenate([part.hits for part in parts]),
        n_held_out=np.concatenate([part.n_held_out for part in parts]),
        histories=None
        if parts[0].histories is None
        else csr_array(vstack([part.histories for part in parts], format="csr")),
    )


def _shape(x: csr_array) -> tuple[int, int]:
    # SciPy's stubs allow for arrays without a shape
    return x.shape[0], x.shape[1]  # pyright: ignore[reportOptionalSubscript]


def _find_hits(
    items: Int[np.ndarray, "users k"], held_out: csr_array, n_held_out: Int[np.ndarray, " users"]
) -> Bool[np.ndarray, "users k"]:
    n_users, n_items = _shape(held_out)
    if held_out.nnz == 0:
        return np.zeros(items.shape, dtype=bool)
    # Canonical CSR is ordered by row, then column, so its flattened positions are sorted.
    row_offsets = np.arange(n_users, dtype=np.int64) * n_items
    held_out_cells = np.repeat(row_offsets, n_held_out) + held_out.indices
    ranked_cells = row_offsets[:, None] + items
    positions = np.minimum(np.searchsorted(held_out_cells, ranked_cells), len(held_out_cells) - 1)
    # Without the second condition, -1 would match the last item of the previous user.
    return (held_out_cells[positions] == ranked_cells) & (items >= 0)


def _check_items(items: Int[np.ndarray, "users k"], n_items: int) -> None:
    if items.size == 0:
        return
    low, high = int(items.min()), int(items.max())
    if low < -1 or high >= n_items:
        raise DataError(
            f"the ranking has items from {low} to {high}, but there are {n_items} items; expected "
            "-1 or a column"
        )
    sorted_items = np.sort(items, axis=1)
    repeated = (sorted_items[:, 1:] == sorted_items[:, :-1]) & (sorted_items[:, 1:] >= 0)
    if repeated.any():
        row, column = np.argwhere(repeated)[0]
        raise DataError(f"the ranking in row {row} names item {sorted_items[row, column]} twice")
