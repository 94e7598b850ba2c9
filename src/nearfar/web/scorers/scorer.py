"""The interface between the service and a model in any runtime.

A runtime is a module of this folder with the function `load_scorer`, see `LoadScorer`. Scorers are
called from one thread at a time, and never change once they are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary

Ability = Literal["explain", "similar", "latent"]
"""What a scorer may offer beyond `top_k`: "explain" stands for `scores_at`, "similar" for
`similarities` and `similarities_of_pools`, "latent" for `latents`."""


class Scorer(Protocol):
    """A fitted model in a runtime, with what the service needs to know of it.

    Attributes:
        version: version of the model, which distinguishes it from the next after a swap.
        runtime: "torch" or "onnx".
        items: the items by position, with titles if there are any.
        popularity: how many training users interacted with each item.
        metadata: where the model comes from, as JSON values; if known, "algorithm", "kind",
            "created" (ISO 8601), "metrics", "data", "settings", "n_train_users", "versions".
        abilities: which of the methods besides `top_k` may be called.
        anchors: the item anchors of PIA, in the space of `latents`; None without PIA.
        item_vectors: the vectors that items are compared by, centred and of unit length; None if
            the model has no such vectors.
        max_k: the largest k of `top_k`; None for any.
        index_path: folder of the index of its items; None without an index.
        index_k: the largest k that the index is for; 0 without an index.
    """

    version: str
    runtime: str
    items: Vocabulary
    popularity: Int[np.ndarray, " items"]
    metadata: Mapping[str, Any]
    abilities: frozenset[Ability]
    anchors: Float[np.ndarray, "items latent"] | None
    item_vectors: Float[np.ndarray, "items d"] | None
    max_k: int | None
    index_path: Path | None
    index_k: int

    def top_k(self, histories: csr_array, k: int, exclude: csr_array | None = None) -> Ranking:
        """Return the best k items per history; an empty history gets the popular items.

        Args:
            histories: users x items, binary float32, canonical (sorted, no duplicates).
            k: items per user; rows with fewer candidates end in -1, with a score of -inf.
            exclude: users x items, canonical: the items to leave out for each user, including
                those of the history if they should be left out; None leaves out nothing.
        """
        ...

    def top_k_by_index(
        self, histories: csr_array, k: int, exclude: csr_array
    ) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
        """Return the best of the items that the index proposes, and who was ranked by `top_k`.

        Needs an index. Users for whom the index proposes too few items are ranked by `top_k`.
        """
        ...

    def scores_at(
        self, histories: csr_array, items: Int[np.ndarray, "users k"]
    ) -> Float[np.ndarray, "users k"]:
        """Return the scores of the given items per history, comparable between histories.

        Logits of an autoencoder are only comparable within a history, so their log-softmax is
        returned.
        """
        ...

    def similarities(
        self, rows: Int[np.ndarray, " rows"], columns: Int[np.ndarray, " columns"] | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        """Return the similarities of items, from -1 to 1; `columns` None stands for all items."""
        ...

    def similarities_of_pools(
        self, rows: Int[np.ndarray, "users n"], columns: Int[np.ndarray, "users m"]
    ) -> Float[np.ndarray, "users n m"]:
        """Return symmetric similarities between two sets of items per user.

        Values at the position -1 are undefined.
        """
        ...

    def latents(self, histories: csr_array) -> Float[np.ndarray, "users latent"]:
        """Return the latent vector per history at test time: the mean, through the flow if any."""
        ...


class LoadScorer(Protocol):
    """The function `load_scorer` of a runtime."""

    def __call__(
        self, path: Path, *, version: str, threads: int, indices: Sequence[Path] = ()
    ) -> Scorer:
        """Read a model.

        Args:
            path: folder of a bundle or of an export.
            version: version of the model.
            threads: threads that compute, at most.
            indices: folders of indices; the one that belongs to the model is used.

        Raises:
            ArtefactError: the model is damaged, or is not of this runtime.
            SettingsError: indices are given, and the runtime cannot use any.
            MissingExtraError: the runtime is not installed.
        """
        ...
