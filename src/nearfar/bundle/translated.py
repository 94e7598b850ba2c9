"""A bundle's model asked, and answering, in the items of another catalogue."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import Interactions


class Translated:
    """What `evaluate` needs of a model, for a model that was trained on other items.

    Items of histories that the bundle does not know are left out; items that the catalogue does
    not have are not recommended; new ones never are, as in production.

    Args:
        bundle: the model and its items.
        catalogue: training data of the other catalogue, for its items and their popularity.
    """

    def __init__(self, bundle: Bundle, catalogue: Interactions) -> None:
        self.model = bundle.model
        self.popularity = catalogue.item_counts
        self.n_train_users = catalogue.n_users
        self._own = bundle.items.index(catalogue.item_ids.ids)
        self._catalogue = catalogue.item_ids.index(bundle.items.ids)

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        """The best k items of every history, best first; both in the catalogue's columns."""
        entries = histories.tocoo()
        columns = self._own[entries.col]
        known = columns >= 0
        shape = (histories.shape[0], self.model.n_items)
        own = csr_array((entries.data[known], (entries.row[known], columns[known])), shape=shape)
        allowed = np.flatnonzero(self._catalogue >= 0)
        found = self.model.top_k(own, k, exclude_seen=exclude_seen, allow=allowed)
        items = np.where(found.items >= 0, self._catalogue[found.items], -1)
        return Ranking(items, found.scores)
