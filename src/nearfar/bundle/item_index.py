"""An index of a bundle's items: it proposes candidates, and the model ranks them exactly.

The graph cannot leave out the items of a history, so the search returns more items than are
recommended. Where too few are left, the whole catalogue is ranked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.item_graph import fingerprint, require_inner_products, search
from nearfar.core.errors import DataError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import canonical
from nearfar.models.model import Model

MARGIN = 20
"""Items proposed beyond those that are needed."""

USERS_AT_ONCE = 32
"""Users whose candidates are scored by one product, which has a column per item of any of them."""

MIN_EXCLUDED = 100
EXCLUDED_SHARE = 0.01
"""A user with more excluded items than 100 and than 1 % of the catalogue is ranked exactly: the
search would have to return as many more items."""


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """A graph of a model's items, with its measured recall and speed.

    `nf.build_index` builds one, `nf.load_index` reads one.

    Args:
        model: the model whose items are in the graph; it scores the candidates.
        graph: the faiss graph.
        k: the list length that recall was measured for; longer lists are ranked exactly.
        effort: candidates that a search keeps; a larger effort finds more and takes longer.
        fingerprint: checksum of the model's item vectors.
        metadata: the measurements, as JSON values; see `build_index`.

    Examples:
        >>> index = nf.build_index(bundle, k=5, force=True)
        >>> index.k, index.metadata["recall"]["mean"]
        (5, 1.0)
    """

    model: Model
    graph: Any
    k: int
    effort: int
    fingerprint: str
    metadata: dict[str, Any]

    def top_k(
        self,
        histories: csr_array,
        k: int,
        *,
        exclude_seen: bool = True,
        exclude: csr_array | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
        """Return the best k items per user, and which users were ranked over the whole catalogue.

        The whole catalogue is ranked for users whose k or number of excluded items is too large for
        the index, or for whom fewer than k proposed items are left. Scores and order are those of
        `Model.top_k` among the proposed items, so both rankings are equal if the best k are all
        proposed. An empty history gets the popular items, exactly.

        Args:
            histories: users x items.
            k: items per user.
            exclude_seen: leave out the items of the history itself.
            exclude: users x items, the items to leave out for each user instead of those of the
                history.
            deny: positions of items that are recommended to no user.

        Raises:
            DataError: k is below 1, or the histories and the model differ in the number of items.
        """
        n_users, n_items = histories.shape[0], histories.shape[1]
        if k < 1 or n_items != self.model.n_items:
            self.model.top_k(histories, k)  # raises the error
        histories = canonical(histories)
        if exclude is None:
            exclude = histories if exclude_seen else csr_array(histories.shape, dtype=np.float32)
        else:
            exclude = canonical(exclude)
        denied = np.empty(0, np.int64) if deny is None else np.unique(deny).astype(np.int64)
        n_excluded = np.diff(exclude.indptr) + len(denied)
        items = np.full((n_users, k), -1, np.int64)
        scores = np.full((n_users, k), -np.inf, np.float32)
        empty = np.diff(histories.indptr) == 0
        for row in np.flatnonzero(empty):
            excluded = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
            self._write_popular(excluded, denied, items[row], scores[row])
        by_index = ~empty & (n_excluded <= self.most_excluded) & (k <= self.k)
        for rows in _even_batches(np.flatnonzero(by_index)):
            # For a single user, copying the rows would take longer than the search.
            is_all = len(rows) == n_users
            x, excluded = (histories, exclude) if is_all else (histories[rows], exclude[rows])
            ranking = self._rank_candidates(x, excluded, denied, n_excluded[rows], k)
            items[rows, : ranking.k], scores[rows, : ranking.k] = ranking.items, ranking.scores
        is_exact = ~empty & (~by_index | (items[:, -1] < 0))
        rows = np.flatnonzero(is_exact)
        if len(rows):
            ranking = self.model.top_k(histories[rows], k, exclude=exclude[rows], deny=deny)
            items[rows], scores[rows] = ranking.items, ranking.scores
        return Ranking(items, scores), is_exact

    @property
    def most_excluded(self) -> int:
        """The largest number of excluded items for which the index ranks a user."""
        return max(MIN_EXCLUDED, int(EXCLUDED_SHARE * self.model.n_items))

    def _rank_candidates(
        self,
        histories: csr_array,
        exclude: csr_array,
        denied: Int[np.ndarray, " denied"],
        n_excluded: Int[np.ndarray, " users"],
        k: int,
    ) -> Ranking:
        """Return the best k of the items that the graph proposes; shorter rows end in -1."""
        products = require_inner_products(self.model)
        hidden = products.encode(histories)
        users = np.column_stack([hidden.cpu().numpy(), np.ones(len(hidden), np.float32)])
        candidates = self._search(users, n_excluded)
        is_excluded = candidates < 0
        candidates[is_excluded] = 0
        n_items = self.model.n_items
        user_rows = np.repeat(np.arange(len(users)), np.diff(exclude.indptr))
        cells = candidates + n_items * np.arange(len(users))[:, None]
        is_excluded |= _isin_sorted(cells, user_rows * n_items + exclude.indices)
        is_excluded |= _isin_sorted(candidates, denied)
        return products.rank(hidden, candidates, is_excluded, k)

    def _search(
        self, users: Float[np.ndarray, "users d"], n_excluded: Int[np.ndarray, " users"]
    ) -> Int[np.ndarray, "users candidates"]:
        """Return the positions of the items nearest to each user; -1 fills shorter rows.

        A user's excluded items are mostly among the nearest, so the search returns as many more.
        That number is rounded up to a power of two, so that users share searches and no user's
        ranking depends on another user.
        """
        n_more = np.where(
            n_excluded, 1 << np.ceil(np.log2(np.maximum(n_excluded, 1))).astype(int), 0
        )
        n_items, parts = self.model.n_items, {}
        for extra in np.unique(n_more):
            n = min(n_items, self.k + int(extra) + MARGIN)
            effort = max(n, self.effort + int(extra))
            parts[extra] = search(self.graph, users[n_more == extra], n, effort)
        candidates = np.full((len(users), max(p.shape[1] for p in parts.values())), -1, np.int64)
        for extra, part in parts.items():
            candidates[n_more == extra, : part.shape[1]] = part
        return candidates

    def _write_popular(
        self, excluded: np.ndarray, denied: np.ndarray, items: np.ndarray, scores: np.ndarray
    ) -> None:
        """Write the most popular items, as `Model.top_k` ranks them for an empty history."""
        order = self._by_popularity[: len(items) + len(excluded) + len(denied)]
        order = order[~(_isin_sorted(order, excluded) | _isin_sorted(order, denied))][: len(items)]
        items[: len(order)], scores[: len(order)] = order, self.model.popularity[order]

    @cached_property
    def _by_popularity(self) -> Int[np.ndarray, " items"]:
        return np.argsort(-self.model.popularity.astype(np.float32), kind="stable")


def _even_batches(rows: Int[np.ndarray, " rows"]) -> list[np.ndarray]:
    """Split rows into batches of about equal size, at most `USERS_AT_ONCE` rows each.

    A product of a single row adds in another order than one of several rows.
    """
    n_parts = -(-len(rows) // USERS_AT_ONCE)
    return np.array_split(rows, n_parts) if n_parts else []


def _isin_sorted(values: np.ndarray, ascending: np.ndarray) -> Bool[np.ndarray, ...]:
    """Return for each value whether it is in an ascending array."""
    if not len(ascending):
        return np.zeros(values.shape, bool)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return ascending[places] == values


def index_of(bundle: Bundle, index: ItemIndex | None) -> ItemIndex | None:
    """Return an index, if any, that ranks with the model of a bundle.

    Raises:
        DataError: the index belongs to another bundle.
    """
    if index is None or index.model is bundle.model:
        return index
    if index.fingerprint != fingerprint(bundle.model):
        raise DataError(
            f"the index is of another bundle ({describe_bundle(index.metadata)}); read the one of "
            "this bundle by nf.load_index(path, bundle)"
        )
    # Equal item vectors do not make equal models: encoder, popularity and device may differ.
    return replace(index, model=bundle.model)


def describe_bundle(metadata: dict[str, Any]) -> str:
    """Return the algorithm, size and date of the bundle that an index was built for, as text."""
    value = metadata.get("built_for")
    bundle = value if isinstance(value, dict) else {}
    return f"{bundle.get('algorithm')} of {bundle.get('n_items')} items, {bundle.get('created')}"
