"""Build and search a graph of nearest neighbours (HNSW) over a model's item vectors.

HNSW graphs work with distances and lose items on inner products, so the item vectors are extended
to equal length first, see `EuclideanTransform`.
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
"""Neighbours per item in the graph, and candidates kept while an item is inserted (faiss: M and
efConstruction). With 32 and 120 the graph takes half as long again to build and finds little more
(docs/guide/item-index.md)."""

GRAPH_COPIES = 3
"""Copies of the item vectors in memory at the peak of building: faiss doubles its array as it grows
(390 MiB measured for 150,000 items in 201 dimensions)."""

BLOCK_ITEMS = 65_536
"""Items transformed at once."""


@dataclass(frozen=True, eq=False)
class EuclideanTransform:
    """Map item vectors v to (v - mean, sqrt(square - |v - mean|^2)), all of equal length.

    The nearest of these to (u, 0) is the item with the largest inner product u . v: the squared
    distance is |u|^2 + square - 2 u . (v - mean), and u . mean is the same for all items. Without
    the mean the graph finds fewer of the best items at the same effort (docs/guide/item-index.md).

    Args:
        mean: the mean of all item vectors.
        square: the largest |v - mean|^2 of all items.

    Source: Bachrach et al. 2014, "Speeding up the Xbox recommender system using a Euclidean
    transformation for inner-product spaces".
    """

    mean: Float[np.ndarray, " d"]
    square: float

    @classmethod
    def of(cls, vectors: Float[np.ndarray, "items d"]) -> EuclideanTransform:
        """Return the transformation for these items."""
        mean = vectors.mean(0, dtype=np.float64).astype(np.float32)
        blocks = (vectors[s : s + BLOCK_ITEMS] - mean for s in range(0, len(vectors), BLOCK_ITEMS))
        return cls(
            mean, max((float(_squared_lengths(block).max()) for block in blocks), default=0.0)
        )

    def items(self, vectors: Float[np.ndarray, "items d"]) -> Float[np.ndarray, "items d_plus_1"]:
        """Return item vectors extended to equal length."""
        centred = vectors - self.mean
        extra = np.sqrt(np.maximum(self.square - _squared_lengths(centred), 0))
        return np.column_stack([centred, extra]).astype(np.float32, copy=False)

    @staticmethod
    def users(vectors: Float[np.ndarray, "users d"]) -> Float[np.ndarray, "users d_plus_1"]:
        """Return user vectors with a last column of zeros, to search among such items."""
        return np.column_stack([vectors, np.zeros(len(vectors), np.float32)])


def _squared_lengths(vectors: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)


def require_inner_products(model: Model) -> InnerProducts:
    """Return the user and item vectors whose inner products are a model's scores.

    Raises:
        SettingsError: the model's scores are not inner products.
    """
    products = InnerProducts.of(model)
    if products is None:
        raise SettingsError(
            f"scores of this model ({type(model).__name__}) are not inner products of users and "
            "items, so it cannot have an index: recommend without an index, or give a bundle of an "
            "autoencoder or a factor model"
        )
    return products


def require_faiss() -> None:
    """Check that faiss is installed.

    Raises:
        MissingExtraError: faiss is not installed.
    """
    require("faiss", extra="index", purpose="an index of items")


def build_graph(model: Model) -> Any:
    """Build the faiss graph of a model's items.

    Raises:
        SettingsError: the model's scores are not inner products.
        ArtefactError: the model has numbers that are not finite.
        DoesNotFitError: the graph needs more memory than is available.
        MissingExtraError: faiss is not installed.
    """
    products = require_inner_products(model)
    require_faiss()
    import faiss

    n_items, d = products.weight.shape
    memory.require(
        4 * n_items * (GRAPH_COPIES * (d + 2) + 2 * N_NEIGHBOURS + 16),
        f"building an index of {n_items:,} items in {d + 1} dimensions",
        "build it on a machine with more memory",
    )
    vectors = products.item_vectors()
    transform = EuclideanTransform.of(vectors)
    if not np.isfinite(transform.square):
        raise ArtefactError("item vectors hold numbers that are not finite; train the model again")
    graph = faiss.IndexHNSWFlat(vectors.shape[1] + 1, N_NEIGHBOURS)
    graph.hnsw.efConstruction = BUILD_EFFORT
    for start in range(0, len(vectors), BLOCK_ITEMS):
        graph.add(transform.items(vectors[start : start + BLOCK_ITEMS]))
    return graph


def fingerprint(model: Model) -> str:
    """Return a checksum of the item vectors, from which a graph is built."""
    products, checksum = require_inner_products(model), hashlib.sha256()
    for tensor in (products.weight, products.bias):
        checksum.update(np.ascontiguousarray(tensor.cpu().numpy(), np.float32).data)
    return checksum.hexdigest()


@contextlib.contextmanager
def search_threads(n: int) -> Iterator[None]:
    """Limit the searches of the calling thread to n threads while the block runs."""
    import faiss

    previous = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(n)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(previous)


def search(
    graph: Any, users: Float[np.ndarray, "users d"], n: int, effort: int
) -> Int[np.ndarray, "users n"]:
    """Return the positions of the n items nearest to each user; -1 fills rows with fewer.

    Args:
        graph: from `build_graph`.
        users: user vectors with a one in the last column.
        n: items per user.
        effort: candidates that the search keeps (faiss: efSearch), at least n.
    """
    import faiss

    parameters = faiss.SearchParametersHNSW(efSearch=effort)  # pyright: ignore[reportAttributeAccessIssue]
    return graph.search(EuclideanTransform.users(users), n, params=parameters)[1]
