"""Maps a bundle's model, or its weights, to another catalogue of items."""

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
from nearfar.vae.likelihoods.likelihood import TrainingCounts


class ModelOnCatalogue:
    """A model that was trained on other items, with the interface that `evaluate` needs.

    Items of histories that the bundle does not know are ignored. Items that are not in the
    catalogue are not recommended, and items that are new in the catalogue never are, as in
    production.

    Args:
        bundle: the model and its items.
        catalogue: training data of the other catalogue, for its items and their popularity.
    """

    def __init__(self, bundle: Bundle, catalogue: Interactions) -> None:
        self.model = bundle.model
        self.popularity = catalogue.item_counts
        self.n_train_users = catalogue.n_users
        self._to_bundle = bundle.items.index(catalogue.item_ids.ids)
        self._to_catalogue = catalogue.item_ids.index(bundle.items.ids)

    def top_k(self, histories: csr_array, k: int, *, exclude_seen: bool = True) -> Ranking:
        """Return the best k items of every history; histories and ranking use catalogue columns."""
        entries = histories.tocoo()
        columns = self._to_bundle[entries.col]
        known = columns >= 0
        shape = (histories.shape[0], self.model.n_items)
        mapped = csr_array((entries.data[known], (entries.row[known], columns[known])), shape=shape)
        allowed = np.flatnonzero(self._to_catalogue >= 0)
        ranking = self.model.top_k(mapped, k, exclude_seen=exclude_seen, allow=allowed)
        items = np.where(ranking.items >= 0, self._to_catalogue[ranking.items], -1)
        return Ranking(items, ranking.scores)


def warm_started(
    algorithm: Algorithm, bundle: Bundle, items: Vocabulary, path: Path
) -> tuple[Algorithm, int]:
    """Return an algorithm that starts from a bundle's weights, and how many items have weights.

    If the algorithm tries several networks, the one with the bundle's architecture is returned.
    The weights of encoder and decoder carry over, with items matched by id; items unknown to the
    bundle get the weights of the algorithm's initialiser. Nothing else carries over: the anchors
    of PIA, a learned prior, Adam's state and all schedules start from scratch.

    Args:
        algorithm: the algorithm to train.
        bundle: the earlier model.
        items: the catalogue to train on.
        path: file to which the weights are written; it is replaced if it exists, and must stay
            until the training ends.

    Raises:
        SettingsError: the algorithm or the bundle's model is not an autoencoder, their
            architectures differ, or the bundle knows none of the items.
    """
    model = bundle.model
    if not isinstance(algorithm, AutoencoderAlgorithm) or not isinstance(model, Autoencoder):
        raise SettingsError(
            "only an autoencoder can start from earlier weights; the bundle is of "
            f"{bundle.metadata.algorithm}, and the algorithm is {type(algorithm).__name__}"
        )
    alternatives = algorithm.alternatives(TrainingCounts(model.popularity, model.n_train_users))
    matching = next((a for a in alternatives if not _differences(model, a)), None)
    if matching is None:
        names = ", ".join(_differences(model, alternatives[0]))
        raise SettingsError(
            f"the earlier model has another architecture ({names}); give the same "
            "settings, or start from scratch"
        )
    columns = np.asarray(bundle.items.index(items.ids), np.int64)
    n_known = int((columns >= 0).sum())
    if not n_known:
        raise SettingsError("the earlier model knows none of the items; start from scratch")
    arrays = {name: value.cpu().numpy() for name, value in model.network.state_dict().items()}
    arrays[COLUMNS] = columns
    with atomic_file(path) as file:
        file.write(save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    return replace(
        cast("Any", matching), initialiser=Saved(str(path), matching.initialiser)
    ), n_known


def _differences(model: Autoencoder, algorithm: AutoencoderAlgorithm) -> list[str]:
    """Return the fields of the architecture that differ, except the number of items."""
    earlier, new = vars(model.architecture), vars(algorithm.architecture(model.n_items))
    return [name for name in earlier if name != "n_items" and earlier[name] != new[name]]


def settings_of(bundle: Bundle) -> dict[str, Any]:
    """Return the settings of a bundle's training, with the initialiser before any warm start.

    Settings computed from the data have the values that were used.
    """
    settings = dict(bundle.metadata.settings)
    while (settings.get("initialiser") or {}).get("kind") == "saved":
        settings["initialiser"] = settings["initialiser"]["before"]
    return settings
