"""Score with a bundle in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.bundle.index_folder import find_index
from nearfar.bundle.item_graph import search_threads
from nearfar.bundle.item_index import ItemIndex
from nearfar.bundle.similar import Similarity
from nearfar.core import discovery
from nearfar.core.errors import SettingsError
from nearfar.core.ranking import Ranking
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.model import LatentModel
from nearfar.web.scorers.scorer import Ability


class BundleScorer:
    """A `Scorer` of a bundle in PyTorch; items are compared by `Similarity`.

    Args:
        bundle: the model and its items.
        version: version of the model.
        threads: threads that compute.
        index: folder of the bundle's index, and the index; None without one.
    """

    runtime = "torch"
    max_k = None

    def __init__(
        self,
        bundle: Bundle,
        *,
        version: str,
        threads: int,
        index: tuple[Path, ItemIndex] | None = None,
    ) -> None:
        model = bundle.model
        self.index_path, self._index = (None, None) if index is None else index
        self.index_k = 0 if self._index is None else self._index.k
        self.version = version
        self.items = bundle.items
        self.popularity = model.popularity
        metadata = bundle.metadata.to_dict()
        metadata.pop("training")
        kind = discovery.name_of(type(model))
        self.metadata: Mapping[str, Any] = {
            **metadata, "kind": kind, "n_train_users": model.n_train_users
        }  # fmt: skip
        self.anchors = model.latent_anchors if isinstance(model, Autoencoder) else None
        self._model = model
        self._threads = threads
        abilities: set[Ability] = {"explain"}
        try:
            self._similarity: Similarity | None = Similarity(model)
            abilities.add("similar")
        except SettingsError:
            self._similarity = None
        self.item_vectors = None if self._similarity is None else self._similarity.vectors
        if isinstance(model, LatentModel):
            abilities.add("latent")
        self.abilities = frozenset(abilities)

    def top_k(self, histories: csr_array, k: int, exclude: csr_array | None = None) -> Ranking:
        self._bound_threads()
        return self._model.top_k(histories, k, exclude_seen=False, exclude=exclude)

    def top_k_by_index(
        self, histories: csr_array, k: int, exclude: csr_array
    ) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
        self._bound_threads()
        if self._index is None:
            raise TypeError(f"{self.metadata['algorithm']} is served without an index")
        with search_threads(self._threads):
            return self._index.top_k(histories, k, exclude=exclude)

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
        item_scores = scores.gather(1, torch.from_numpy(items))
        if isinstance(self._model, Autoencoder):
            item_scores -= scores.logsumexp(1, keepdim=True)
        return item_scores.numpy()

    def similarities(
        self, rows: Int[np.ndarray, " rows"], columns: Int[np.ndarray, " columns"] | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        self._bound_threads()
        if self._similarity is None:
            raise TypeError(f"{self.metadata['algorithm']} has no item vectors")
        return self._similarity.between(rows, columns)

    def similarities_of_pools(
        self, rows: Int[np.ndarray, "users n"], columns: Int[np.ndarray, "users m"]
    ) -> Float[np.ndarray, "users n m"]:
        if self._similarity is None:
            raise TypeError(f"{self.metadata['algorithm']} has no item vectors")
        return self._similarity.of_pools(rows, columns)

    def latents(self, histories: csr_array) -> Float[np.ndarray, "users latent"]:
        self._bound_threads()
        if not isinstance(self._model, LatentModel):
            raise TypeError(f"{self.metadata['algorithm']} has no latent space")
        return self._model.latents(histories).numpy()

    def _bound_threads(self) -> None:
        # The setting holds for the calling thread only, and another thread loads the model.
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)


def load_scorer(
    path: Path, *, version: str, threads: int, indices: Sequence[Path] = ()
) -> BundleScorer:
    """Read a bundle and its index; see `LoadScorer`."""
    bundle = load_bundle(path)
    index = find_index(indices, bundle)
    return BundleScorer(bundle, version=version, threads=threads, index=index)
