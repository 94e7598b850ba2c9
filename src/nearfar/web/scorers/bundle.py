"""A bundle scored by PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.core import discovery
from nearfar.core.ranking import Ranking
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors
from nearfar.models.item_item import ItemItem
from nearfar.models.latent import LatentModel
from nearfar.models.model import Model
from nearfar.web.scorers.alike import cosines, shares_added, unit_vectors
from nearfar.web.scorers.scorer import Ability


class BundleScorer:
    """See `Scorer`.

    Items are alike by the cosine of their anchors where the model has any, else of their rows of
    the decoder's last layer or of their factors, less the mean of all; in an item-item model by
    what one adds to the other's score, as a share of the most that it adds to any. In an ensemble
    the first part with a weight above 0 that has any of these decides.

    Args:
        bundle: the model and its items.
        version: what it is called.
        threads: computing.
    """

    runtime = "torch"

    def __init__(self, bundle: Bundle, *, version: str, threads: int) -> None:
        model = bundle.model
        self.version = version
        self.items = bundle.items
        self.popularity = model.popularity
        about = bundle.about.to_dict()
        about.pop("training")
        kind = discovery.name_of(type(model))
        self.about: Mapping[str, Any] = {
            **about, "kind": kind, "n_train_users": model.n_train_users
        }  # fmt: skip
        self.anchors = model.anchors if isinstance(model, Autoencoder) else None
        self._model = model
        self._threads = threads
        self._compared = model.comparing if isinstance(model, Ensemble) else model
        self._vectors = _vectors(self._compared)
        abilities: set[Ability] = {"explain"}
        if self._vectors is not None or isinstance(self._compared, ItemItem):
            abilities.add("similar")
        if isinstance(model, LatentModel):
            abilities.add("latent")
        self.abilities = frozenset(abilities)

    def top_k(self, histories: csr_array, k: int, exclude: csr_array | None = None) -> Ranking:
        self._bound_threads()
        return self._model.top_k(histories, k, exclude_seen=False, exclude=exclude)

    def scores_at(
        self, histories: csr_array, items: Int[np.ndarray, "users k"]
    ) -> Float[np.ndarray, "users k"]:
        self._bound_threads()
        size = self._model.batch_size()
        parts = [
            self._scores_at(histories[start : start + size], items[start : start + size])
            for start in range(0, len(items), size)
        ]
        return np.concatenate(parts)

    def _scores_at(
        self, histories: csr_array, items: Int[np.ndarray, "users k"]
    ) -> Float[np.ndarray, "users k"]:
        scores = torch.from_numpy(self._model.score(histories))
        found = scores.gather(1, torch.from_numpy(items))
        if isinstance(self._model, Autoencoder):
            found -= scores.logsumexp(1, keepdim=True)
        return found.numpy()

    def similarities(
        self, rows: Int[np.ndarray, " rows"], columns: Int[np.ndarray, " columns"] | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        self._bound_threads()
        model = self._compared
        if isinstance(model, ItemItem):
            return shares_added(model.weights[rows], rows, columns)
        if self._vectors is None:
            raise TypeError(f"{self.about['algorithm']} has no item vectors")
        return cosines(self._vectors, rows, columns)

    def latents(self, histories: csr_array) -> Float[np.ndarray, "users latent"]:
        self._bound_threads()
        if not isinstance(self._model, LatentModel):
            raise TypeError(f"{self.about['algorithm']} has no latent space")
        return self._model.encode(histories).mu.numpy()

    def _bound_threads(self) -> None:
        # Their number belongs to the thread that asks for it, and the one that loads is another.
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)


def _vectors(model: Model | None) -> Float[np.ndarray, "items d"] | None:
    """A vector of length one per item, or None where the model has none."""
    if isinstance(model, Autoencoder):
        out = model.network.decoder.out.weight.detach().cpu().numpy()
        return unit_vectors(out if model.anchors is None else model.anchors)
    if isinstance(model, Factors):
        return unit_vectors(model.item_factors)
    return None


def load_scorer(path: Path, *, version: str, threads: int) -> BundleScorer:
    """Read a bundle; see `LoadScorer`."""
    return BundleScorer(load_bundle(path), version=version, threads=threads)
