"""An index of a bundle's items: it proposes candidates, and the model ranks these exactly.

The index knows no history, so more items are looked for than are recommended. Where that does not
do, the whole catalogue is ranked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.item_graph import fingerprint, products_of, search
from nearfar.core.errors import DataError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import canonical
from nearfar.models.model import Model
from nearfar.models.top_k import by_score

MARGIN = 20
"""Items proposed beyond those that are needed."""

USERS_AT_ONCE = 32
"""Users whose candidates go through one product, whose columns are the items of all of them."""

MIN_EXCLUDED = 100
EXCLUDED_SHARE = 0.01
"""A user with more excluded items than both, this share being of the catalogue, is ranked exactly:
as many more items would have to be found."""


@dataclass(frozen=True, eq=False)
class ItemIndex:
    """A graph of a model's items, and how well it was measured to work.

    `nf.build_index` makes one, `nf.load_index` reads one.

    Args:
        model: whose items it holds; ranks candidates, and whatever the index cannot.
        graph: of faiss.
        k: how many of the best items recall was measured for; longer lists are ranked exactly.
        effort: how many items a search keeps; more finds more and takes longer.
        fingerprint: of the model's item vectors.
        about: what was measured, JSON-able; see `build_index`.

    Examples:
        >>> index = nf.build_index(bundle, k=5, force=True)
        >>> index.k, index.about["recall"]["mean"]
        (5, 1.0)
    """

    model: Model
    graph: Any
    k: int
    effort: int
    fingerprint: str
    about: dict[str, Any]

    def top_k(
        self,
        histories: csr_array,
        k: int,
        *,
        exclude_seen: bool = True,
        exclude: csr_array | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
    ) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
        """Return the best k items of every user, and who was ranked over the whole catalogue.

        These are users for whom k or the number of excluded items is too large for the index, or
        of whose proposals fewer than k are left. Scores and order are those of `Model.top_k`
        among the proposals, so the rankings are equal where the best k are all proposed. An empty
        history gets what is popular, exactly.

        Args:
            histories: users x items.
            k: how many items.
            exclude_seen: leave out the items of the history itself.
            exclude: users x items, what is left out for each user, in place of the history's own
                items.
            deny: positions of items that nobody is recommended.

        Raises:
            DataError: k is below 1, or the histories have another number of items than the model.
        """
        n_users, n_items = histories.shape[0], histories.shape[1]
        if k < 1 or n_items != self.model.n_items:
            self.model.top_k(histories, k)  # which says what is wrong
        histories = canonical(histories)
        if exclude is None:
            exclude = histories if exclude_seen else csr_array(histories.shape, dtype=np.float32)
        else:
            exclude = canonical(exclude)
        banned = np.empty(0, np.int64) if deny is None else np.unique(deny).astype(np.int64)
        n_excluded = np.diff(exclude.indptr) + len(banned)
        items = np.full((n_users, k), -1, np.int64)
        scores = np.full((n_users, k), -np.inf, np.float32)
        empty = np.diff(histories.indptr) == 0
        for row in np.flatnonzero(empty):
            own = exclude.indices[exclude.indptr[row] : exclude.indptr[row + 1]]
            self._popular(own, banned, items[row], scores[row])
        able = ~empty & (n_excluded <= self.most_excluded) & (k <= self.k)
        for rows in _even_parts(np.flatnonzero(able)):
            whole = len(rows) == n_users  # of one user, copies would take longer than the search
            x, own = (histories, exclude) if whole else (histories[rows], exclude[rows])
            found = self._of_proposals(x, own, banned, n_excluded[rows], k)
            items[rows, : found.k], scores[rows, : found.k] = found.items, found.scores
        exactly = ~empty & (~able | (items[:, -1] < 0))
        rows = np.flatnonzero(exactly)
        if len(rows):
            found = self.model.top_k(histories[rows], k, exclude=exclude[rows], deny=deny)
            items[rows], scores[rows] = found.items, found.scores
        return Ranking(items, scores), exactly

    @property
    def most_excluded(self) -> int:
        """How many items may be excluded for a user whom the index ranks."""
        return max(MIN_EXCLUDED, int(EXCLUDED_SHARE * self.model.n_items))

    @torch.inference_mode()
    def _of_proposals(
        self,
        histories: csr_array,
        exclude: csr_array,
        banned: Int[np.ndarray, " banned"],
        n_excluded: Int[np.ndarray, " users"],
        k: int,
    ) -> Ranking:
        """The best k of what the graph proposes; rows with fewer candidates end in -1."""
        products = products_of(self.model)
        hidden = products.hidden(histories)
        users = np.column_stack([hidden.cpu().numpy(), np.ones(len(hidden), np.float32)])
        proposed = self._proposals(users, n_excluded)
        left_out = proposed < 0
        proposed[left_out] = 0
        n_items = self.model.n_items
        of_row = np.repeat(np.arange(len(users)), np.diff(exclude.indptr))
        keys = proposed + n_items * np.arange(len(users))[:, None]
        left_out |= _among(keys, of_row * n_items + exclude.indices)
        left_out |= _among(proposed, banned)
        items = torch.from_numpy(proposed).to(hidden.device)
        scores = products.scores_at(hidden, items)
        scores.nan_to_num_(nan=float("-inf"), posinf=float("inf"), neginf=float("-inf"))
        scores[torch.from_numpy(left_out).to(hidden.device)] = float("-inf")
        items, scores = by_score(items, scores)
        return Ranking(items[:, :k].cpu().numpy(), scores[:, :k].cpu().numpy())

    def _proposals(
        self, users: Float[np.ndarray, "users d"], n_excluded: Int[np.ndarray, " users"]
    ) -> Int[np.ndarray, "users places"]:
        """Positions near each user, -1 for none.

        A user's excluded items are mostly among the nearest, so as many more are looked for. The
        number is rounded up to a power of two, so that users are searched for together, and depends
        on nobody else's.
        """
        more = np.where(n_excluded, 1 << np.ceil(np.log2(np.maximum(n_excluded, 1))).astype(int), 0)
        n_items, parts = self.model.n_items, {}
        for extra in np.unique(more):
            n = min(n_items, self.k + int(extra) + MARGIN)
            effort = max(n, self.effort + int(extra))
            parts[extra] = search(self.graph, users[more == extra], n, effort)
        proposed = np.full((len(users), max(p.shape[1] for p in parts.values())), -1, np.int64)
        for extra, part in parts.items():
            proposed[more == extra, : part.shape[1]] = part
        return proposed

    def _popular(
        self, excluded: np.ndarray, banned: np.ndarray, items: np.ndarray, scores: np.ndarray
    ) -> None:
        """Write the most popular items, as `Model.top_k` ranks them for an empty history."""
        order = self._by_popularity[: len(items) + len(excluded) + len(banned)]
        order = order[~(_among(order, excluded) | _among(order, banned))][: len(items)]
        items[: len(order)], scores[: len(order)] = order, self.model.popularity[order]

    @cached_property
    def _by_popularity(self) -> Int[np.ndarray, " items"]:
        return np.argsort(-self.model.popularity.astype(np.float32), kind="stable")


def _even_parts(rows: Int[np.ndarray, " rows"]) -> list[np.ndarray]:
    """Parts of at most `USERS_AT_ONCE` rows, no part much smaller than another.

    A product of a single row adds in another order than one of several.
    """
    n_parts = -(-len(rows) // USERS_AT_ONCE)
    return np.array_split(rows, n_parts) if n_parts else []


def _among(values: np.ndarray, ascending: np.ndarray) -> Bool[np.ndarray, ...]:
    """Whether each value is one of those in ascending order."""
    if not len(ascending):
        return np.zeros(values.shape, bool)
    places = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return ascending[places] == values


def check_index(index: ItemIndex | None, bundle: Bundle) -> None:
    """Check that an index is of this bundle.

    Raises:
        DataError: it is of another bundle.
    """
    if index is None or index.model is bundle.model:
        return
    if index.fingerprint != fingerprint(bundle.model):
        raise DataError(
            f"the index is of another bundle ({named_bundle(index.about)}); read the one of this "
            "bundle by nf.load_index(path, bundle)"
        )


def named_bundle(about: dict[str, Any]) -> str:
    """Return the bundle that an index was built for, in words."""
    bundle = about.get("built_for")
    known = bundle if isinstance(bundle, dict) else {}
    return f"{known.get('algorithm')} of {known.get('n_items')} items, {known.get('created')}"
