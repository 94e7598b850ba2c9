"""A bundle's model and its weights, mapped to another catalogue of items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from safetensors.numpy import save
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.models.autoencoder import Autoencoder
from nearfar.vae.initialisers.saved import COLUMNS, Saved


class ModelOnCatalogue:
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


def warm_started(
    algorithm: Algorithm, bundle: Bundle, items: Vocabulary, path: Path
) -> tuple[Algorithm, int]:
    """Return an algorithm that trains on from a bundle's weights, and how many items it knows.

    Of an algorithm that tries several networks it is the one of the bundle's architecture.
    The weights of encoder and decoder carry over, items matched by id; an item that the bundle
    does not know gets the initial weights of the algorithm's own start. Nothing else carries over:
    the anchors of PIA, a learned prior, Adam's state and all schedules begin anew.

    Args:
        algorithm: what is trained.
        bundle: the earlier model.
        items: the catalogue to be trained on.
        path: where the weights are written for the start to read; replaced if it is there. It
            must stay until the training ends.

    Raises:
        SettingsError: the algorithm trains no autoencoder, or the bundle's model is none, is of
            another architecture, or knows none of the items.
    """
    model = bundle.model
    if not isinstance(algorithm, AutoencoderAlgorithm) or not isinstance(model, Autoencoder):
        raise SettingsError(
            "only an autoencoder is trained on from earlier weights; the bundle is of "
            f"{bundle.about.algorithm}, and {type(algorithm).__name__} is to be trained"
        )
    alternatives = algorithm.alternatives()
    alike = next((one for one in alternatives if not _differences(model, one)), None)
    if alike is None:
        names = ", ".join(_differences(model, alternatives[0]))
        raise SettingsError(
            f"the earlier model has another architecture ({names}); give the same "
            "settings, or start afresh"
        )
    columns = np.asarray(bundle.items.index(items.ids), np.int64)
    n_known = int((columns >= 0).sum())
    if not n_known:
        raise SettingsError("the earlier model knows none of the items; start afresh")
    arrays = {name: value.cpu().numpy() for name, value in model.network.state_dict().items()}
    arrays[COLUMNS] = columns
    with atomic_file(path) as file:
        file.write(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    return replace(cast("Any", alike), start=Saved(str(path), alike.start)), n_known


def _differences(model: Autoencoder, algorithm: AutoencoderAlgorithm) -> list[str]:
    """What of the architecture differs, items apart."""
    own, other = vars(model.architecture), vars(algorithm.architecture(model.n_items))
    return [name for name in own if name != "n_items" and own[name] != other[name]]


def settings_of(bundle: Bundle) -> dict[str, Any]:
    """Return the settings of a bundle's training, with its own start in place of earlier weights.

    Those that were computed from the data stand with the values that were used.
    """
    settings = dict(bundle.about.settings)
    while (settings.get("start") or {}).get("kind") == "saved":
        settings["start"] = settings["start"]["before"]
    return settings
