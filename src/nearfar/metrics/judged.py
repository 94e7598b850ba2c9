"""A ranking held against the users' held-out items: which places are hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import canonical


@dataclass(frozen=True, eq=False)
class Judged:
    """A ranking with its relevance: all that any metric sees.

    Notation: H_u, the held-out items of user u; `hits[u, r]` is 1[item at place r + 1 in H_u];
    `n_held_out[u]` = |H_u|; `item_counts[i]` of `n_train_users` training users interacted with i.

    Place 1 is column 0. Ties were broken by whoever ranked, so only places count here. An item
    of -1 (the user had fewer candidates) is never a hit.

    Examples:
        >>> ranking = nf.Ranking(np.array([[3, 1, 0]]), np.array([[0.9, 0.5, 0.1]]))
        >>> hits = np.array([[True, False, True]])
        >>> judged = nf.Judged(ranking, hits, np.array([2]), np.array([9, 5, 4, 2]), 20)
        >>> float(nf.NDCG(3).per_user(judged)[0]) < 1
        True
        >>> judged.first(1).hits.tolist()
        [[True]]
    """

    ranking: Ranking
    hits: Bool[np.ndarray, "users k"]
    n_held_out: Int[np.ndarray, " users"]
    item_counts: Int[np.ndarray, " items"]
    n_train_users: int

    @property
    def n_users(self) -> int:
        return self.ranking.n_users

    @property
    def n_items(self) -> int:
        return len(self.item_counts)

    def first(self, k: int) -> Judged:
        """The same users with only the best k places.

        Raises:
            SettingsError: the ranking has fewer than k places.
        """
        if k > self.ranking.k:
            raise SettingsError(
                f"a cutoff of {k} on a ranking of {self.ranking.k} places; "
                f"rank at least {k} items a user"
            )
        if k == self.ranking.k:
            return self
        ranking = Ranking(self.ranking.items[:, :k], self.ranking.scores[:, :k])
        return replace(self, ranking=ranking, hits=self.hits[:, :k])

    def shown_counts(self) -> Int[np.ndarray, " items"]:
        """In how many users' rankings each item stands."""
        shown = self.ranking.items
        return np.bincount(shown[shown >= 0], minlength=self.n_items)


def judge(
    ranking: Ranking,
    held_out: csr_array,
    item_counts: Int[np.ndarray, " items"],
    n_train_users: int,
) -> Judged:
    """Mark the hits of a ranking; memory is of the order of the ranking and `held_out`.

    Args:
        ranking: the best items of every user.
        held_out: users x items, its non-zeros are the items to find.
        item_counts: how many training users interacted with each item.
        n_train_users: how many training users there were.

    Raises:
        DataError: the sizes disagree, an item does not exist, or a user is given one twice.
    """
    n_users, n_items = _shape(held_out)
    if ranking.n_users != n_users:
        raise DataError(f"a ranking for {ranking.n_users} users, held-out items of {n_users}")
    if len(item_counts) != n_items:
        raise DataError(f"training counts of {len(item_counts)} items, {n_items} held-out columns")
    _check_items(ranking.items, n_items)
    held_out = canonical(held_out)
    n_held_out = np.diff(held_out.indptr).astype(np.int64)
    return Judged(
        ranking=ranking,
        hits=_find_hits(ranking.items, held_out, n_held_out),
        n_held_out=n_held_out,
        item_counts=np.asarray(item_counts),
        n_train_users=n_train_users,
    )


def joined(parts: Sequence[Judged]) -> Judged:
    """The users of all parts, one part after the other; all parts share their training counts."""
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
    # canonical CSR is ordered by row, then column, so its flattened positions are sorted
    starts = np.arange(n_users, dtype=np.int64) * n_items
    relevant = np.repeat(starts, n_held_out) + held_out.indices
    ranked = starts[:, None] + items
    places = np.minimum(np.searchsorted(relevant, ranked), len(relevant) - 1)
    # -1 would otherwise be taken for the last item of the user before
    return (relevant[places] == ranked) & (items >= 0)


def _check_items(items: Int[np.ndarray, "users k"], n_items: int) -> None:
    if items.size == 0:
        return
    low, high = int(items.min()), int(items.max())
    if low < -1 or high >= n_items:
        raise DataError(f"ranked items from {low} to {high}, but there are {n_items} items")
    in_order = np.sort(items, axis=1)
    doubled = (in_order[:, 1:] == in_order[:, :-1]) & (in_order[:, 1:] >= 0)
    if doubled.any():
        row, column = np.argwhere(doubled)[0]
        raise DataError(f"the ranking in row {row} names item {in_order[row, column]} twice")
