"""A bundle's model and its weights, mapped to another catalogue of items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import save
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.vae.starts.saved import COLUMNS


class MappedModel:
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


def write_warm_start(bundle: Bundle, items: Vocabulary, path: Path) -> int:
    """Write what the start `saved` reads; returns how many of `items` the bundle knows.

    Args:
        bundle: of an autoencoder.
        items: the catalogue to be trained on.
        path: the file, replaced if it is there.

    Raises:
        SettingsError: the model is no autoencoder, or knows none of the items.
    """
    model = bundle.model
    if not isinstance(model, Autoencoder):
        raise SettingsError(f"{bundle.about.algorithm} has no weights for training to go on from")
    columns = np.asarray(bundle.items.index(items.ids), np.int64)
    n_known = int((columns >= 0).sum())
    if not n_known:
        raise SettingsError("the earlier model knows none of the items; start afresh")
    arrays = {name: value.cpu().numpy() for name, value in model.network.state_dict().items()}
    arrays[COLUMNS] = columns
    with atomic_file(path) as file:
        file.write(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    return n_known


def can_warm_start(bundle: Bundle, architecture: Architecture) -> bool:
    """Whether a bundle's weights can be taken over by this architecture, items apart."""
    model = bundle.model
    if not isinstance(model, Autoencoder):
        return False
    own, other = vars(model.architecture), vars(architecture)
    return {k: v for k, v in own.items() if k != "n_items"} == {
        k: v for k, v in other.items() if k != "n_items"
    }
