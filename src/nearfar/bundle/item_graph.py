"""The graph of nearest neighbours (HNSW) over a model's item vectors.

Graphs are made for distances and lose items on inner products, so item vectors are brought to one
length first, see `OneLength`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from nearfar.core import memory
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.extras import require
from nearfar.models.inner_products import InnerProducts
from nearfar.models.model import Model

N_NEIGHBOURS, BUILD_EFFORT = 16, 80
"""Neighbours of each item in the graph, and items kept while it is placed: with 32 and 120 the
graph takes half as long again to build and finds little more (docs/guide/item-index.md)."""

BLOCK_ITEMS = 65_536


@dataclass(frozen=True, eq=False)
class OneLength:
    """Item vectors v as (v - mean, sqrt(square - |v - mean|^2)), all of one length.

    The nearest of these to (u, 0) is the item of the largest product u . v: the distance is
    |u|^2 + square - 2 u . (v - mean), and u . mean is the same for all items. Without the mean the
    graph finds fewer of the best items at the same effort (docs/guide/item-index.md).

    Source: Bachrach et al. 2014, "Speeding up the Xbox recommender system using a Euclidean
    transformation for inner-product spaces".
    """

    mean: Float[np.ndarray, " d"]
    square: float

    @classmethod
    def of(cls, vectors: Float[np.ndarray, "items d"]) -> OneLength:
        """Return the transformation for these items."""
        mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
        blocks = (vectors[s : s + BLOCK_ITEMS] - mean for s in range(0, len(vectors), BLOCK_ITEMS))
        return cls(mean, max((float(_squares(block).max()) for block in blocks), default=0.0))

    def items(self, vectors: Float[np.ndarray, "items d"]) -> Float[np.ndarray, "items d_plus_1"]:
        """Return some of the items' vectors at one length."""
        centred = vectors - self.mean
        rest = np.sqrt(np.maximum(self.square - _squares(centred), 0))
        return np.column_stack([centred, rest]).astype(np.float32, copy=False)

    @staticmethod
    def users(vectors: Float[np.ndarray, "users d"]) -> Float[np.ndarray, "users d_plus_1"]:
        """Return users' vectors for the distance to such items."""
        return np.column_stack([vectors, np.zeros(len(vectors), np.float32)])


def _squares(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)


def products_of(model: Model) -> InnerProducts:
    """Return the two sides of a model's scores.

    Raises:
        SettingsError: scores of the model are no inner products.
    """
    products = InnerProducts.of(model)
    if products is None:
        raise SettingsError(
            f"scores of a model of kind {type(model).__name__} are no inner products of users and "
            "items, and no index can hold them: recommend without an index, or give a bundle of an "
            "autoencoder or a factor model"
        )
    return products


def require_faiss() -> None:
    """Check that faiss is installed, as `require`."""
    require("faiss", extra="index", purpose="an index of items")


def make_graph(model: Model) -> Any:
    """Build the graph of a model's items.

    Raises:
        SettingsError: scores of the model are no inner products.
        ArtefactError: the model has numbers that are not finite.
        DoesNotFitError: it needs more memory than is available.
        MissingExtraError: faiss is not installed.
    """
    products = products_of(model)
    require_faiss()
    import faiss

    n_items, d = products.weight.shape
    memory.require(
        4 * n_items * (2 * (d + 2) + 2 * N_NEIGHBOURS + 4),
        f"building an index of {n_items:,} items in {d + 1} dimensions",
        "build it on a machine with more memory",
    )
    vectors = products.item_vectors()
    one_length = OneLength.of(vectors)
    if not np.isfinite(one_length.square):
        raise ArtefactError("item vectors hold numbers that are not finite; train the model again")
    graph = faiss.IndexHNSWFlat(vectors.shape[1] + 1, N_NEIGHBOURS)
    graph.hnsw.efConstruction = BUILD_EFFORT
    for start in range(0, len(vectors), BLOCK_ITEMS):
        graph.add(one_length.items(vectors[start : start + BLOCK_ITEMS]))
    return graph


def fingerprint(model: Model) -> str:
    """Return a checksum of the item vectors, on which a graph depends."""
    products, state = products_of(model), hashlib.sha256()
    for tensor in (products.weight, products.bias):
        state.update(np.ascontiguousarray(tensor.cpu().numpy(), np.float32).data)
    return state.hexdigest()


@contextlib.contextmanager
def search_threads(n: int) -> Iterator[None]:
    """Let searches of this thread use at most n threads while the block runs."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def search(
    graph: Any, users: Float[np.ndarray, "users d"], n: int, effort: int
) -> Int[np.ndarray, "users n"]:
    """Return the positions of the n items of the largest products with each user, -1 for none.

    Args:
        graph: of `make_graph`.
        users: their vectors, a one in the last column.
        n: how many items.
        effort: how many items the search keeps, at least n.
    """
    import faiss

    parameters = faiss.SearchParametersHNSW(efSearch=effort)  # pyright: ignore[reportAttributeAccessIssue]
    return graph.search(OneLength.users(users), n, params=parameters)[1]
