"""What the service needs of a model, in whatever runtime; imports no runtime itself.

A runtime is a module of this folder with the function `load_scorer`, see `LoadScorer`.
Scorers are called from one thread at a time, and never change once they are loaded.
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
"""What a scorer may offer beyond `top_k`: `scores_at`, `similarities` and
`similarities_of_pools`, `latents`."""


class Scorer(Protocol):
    """A fitted model that answers, and what it answers in.

    Attributes:
        version: which model it is; tells one from the next after a swap.
        runtime: "torch" or "onnx".
        items: ids of the items by position, titles where there are any.
        popularity: how many training users interacted with each item.
        about: where it comes from, JSON-able; as far as known "algorithm", "kind", "created"
            (ISO 8601), "metrics", "data", "settings", "n_train_users", "versions".
        abilities: which of the methods below `top_k` may be called.
        anchors: the item anchors of PIA, in the space of `latents`, or None.
        item_vectors: what items are compared by, less their mean and at length one; None where
            the model holds no such vectors.
        max_k: the most that `top_k` may be asked for; None for any number.
        index_path: the folder of the index of its items; None without one.
        index_k: how many items `top_k_by_index` finds as well as was measured; 0 without an index.
    """

    version: str
    runtime: str
    items: Vocabulary
    popularity: Int[np.ndarray, " items"]
    about: Mapping[str, Any]
    abilities: frozenset[Ability]
    anchors: Float[np.ndarray, "items latent"] | None
    item_vectors: Float[np.ndarray, "items d"] | None
    max_k: int | None
    index_path: Path | None
    index_k: int

    def top_k(self, histories: csr_array, k: int, exclude: csr_array | None = None) -> Ranking:
        """The best k items of every history; an empty history gets what is popular.

        Args:
            histories: users x items, binary float32, canonical (sorted, no doubles).
            k: places in each row; those without a candidate hold -1 and -inf.
            exclude: users x items, canonical: exactly the items that are no candidates of each
                user. Who wants the history's own items left out puts them in here; None leaves
                out nothing.
        """
        ...

    def top_k_by_index(
        self, histories: csr_array, k: int, exclude: csr_array
    ) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
        """As `top_k`, of candidates that the index proposes, and who was ranked by `top_k` yet.

        It may be called where there is an index.
        """
        ...

    def scores_at(
        self, histories: csr_array, items: Int[np.ndarray, "users k"]
    ) -> Float[np.ndarray, "users k"]:
        """The scores of the given items for each history, comparable between histories.

        The logits of an autoencoder mean nothing but their differences within a history, so
        that they come less the logarithm of the sum of their exponentials: log-probabilities.
        """
        ...

    def similarities(
        self, rows: Int[np.ndarray, " rows"], columns: Int[np.ndarray, " columns"] | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        """How alike items are, from -1 to 1; `columns` None stands for all items."""
        ...

    def similarities_of_pools(
        self, rows: Int[np.ndarray, "users n"], columns: Int[np.ndarray, "users m"]
    ) -> Float[np.ndarray, "users n m"]:
        """How alike each user's items are to others, the same in both directions.

        What the position -1 has means nothing.
        """
        ...

    def latents(self, histories: csr_array) -> Float[np.ndarray, "users latent"]:
        """What stands for each history at test time: the mean, through the flow if any."""
        ...


class LoadScorer(Protocol):
    """The function `load_scorer` of a runtime."""

    def __call__(
        self, path: Path, *, version: str, threads: int, indices: Sequence[Path] = ()
    ) -> Scorer:
        """Read a model.

        Args:
            path: a bundle's folder, or an exported file.
            version: what to call it.
            threads: computing at most.
            indices: folders of indices, of which the model takes its own.

        Raises:
            ArtefactError: it is damaged, or none of this runtime's.
            SettingsError: the runtime has no use for indices.
            MissingExtraError: the runtime is not installed.
        """
        ...
