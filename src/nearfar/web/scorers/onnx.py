"""Score with an ONNX export of a bundle in ONNX Runtime, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from nearfar.bundle.exported import (
    ITEM_WEIGHTS,
    LATENTS,
    RECOMMEND,
    SCORES_AT,
    Exported,
    read_exported,
)
from nearfar.bundle.similarity_measures import (
    cosines,
    cosines_of_pools,
    shares_added,
    symmetric_of_pools,
    unit_vectors,
)
from nearfar.core.errors import ArtefactError, DataError, MissingExtraError, SettingsError
from nearfar.core.ranking import Ranking
from nearfar.web.scorers.scorer import Ability

BATCH_BYTES = 32 << 20
MIN_BATCH = 64
ERRORS_ONLY = 3
"""ONNX Runtime's log severity; its warnings do not help to run a service."""


class OnnxScorer:
    """A `Scorer` of an ONNX export; items are compared as in `BundleScorer`.

    Args:
        exported: the export without its graphs.
        version: version of the model.
        threads: threads that compute.

    Raises:
        MissingExtraError: ONNX Runtime is not installed.
    """

    runtime = "onnx"
    index_path = None
    index_k = 0

    def __init__(self, exported: Exported, *, version: str, threads: int) -> None:
        if find_spec("onnxruntime") is None:
            raise MissingExtraError("onnxruntime", "serve", "scoring an ONNX export")
        self.version = version
        self.items = exported.items
        self.popularity = exported.popularity
        self.max_k: int | None = exported.settings["k"]
        self.metadata: Mapping[str, Any] = {
            **exported.metadata,
            "kind": exported.model["kind"],
            "n_train_users": exported.model["n_train_users"],
        }
        self.anchors = exported.latent_anchors
        self._exported = exported
        self.item_vectors = _vectors(exported)
        self._graphs = {n: _session(exported.path / n, threads) for n in exported.graphs}
        abilities: set[Ability] = set()
        if SCORES_AT in self._graphs:
            abilities.add("explain")
        if LATENTS in self._graphs:
            abilities.add("latent")
        if self.item_vectors is not None or exported.rows(ITEM_WEIGHTS, np.array([0])) is not None:
            abilities.add("similar")
        self.abilities = frozenset(abilities)

    def top_k(self, histories: csr_array, k: int, exclude: csr_array | None = None) -> Ranking:
        max_k = self.max_k
        if k < 1 or (max_k is not None and k > max_k):
            bound = "" if max_k is None else f" and at most {max_k} with this export"
            raise DataError(f"k is {k}; it must be at least 1{bound}")
        n_users = histories.shape[0]
        items = np.full((n_users, k), -1, np.int64)
        scores = np.full((n_users, k), -np.inf, np.float32)
        for rows in self._batches(n_users):
            inputs = self._inputs("histories", histories[rows])
            empty = csr_array(histories[rows].shape, dtype=np.float32)
            inputs |= self._inputs("exclude", empty if exclude is None else exclude[rows])
            inputs["exclude_seen"] = np.array(False)
            if max_k is None:
                inputs["k"] = np.array(k, np.int64)
            ids, values = self._graphs[RECOMMEND].run(["ids", "scores"], inputs)
            items[rows], scores[rows] = ids[:, :k], values[:, :k]
        return Ranking(items, scores)

    def top_k_by_index(
        self, histories: csr_array, k: int, exclude: csr_array
    ) -> tuple[Ranking, Bool[np.ndarray, " users"]]:
        raise TypeError(f"{self.metadata['algorithm']} is served without an index")

    def scores_at(
        self, histories: csr_array, items: Int[np.ndarray, "users k"]
    ) -> Float[np.ndarray, "users k"]:
        scores = np.empty(items.shape, np.float32)
        for rows in self._batches(len(items)):
            inputs = self._inputs("histories", histories[rows])
            inputs["items"] = items[rows].astype(np.int64)
            (scores[rows],) = self._graphs[SCORES_AT].run(["scores"], inputs)
        return scores

    def similarities(
        self, rows: Int[np.ndarray, " rows"], columns: Int[np.ndarray, " columns"] | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        if self.item_vectors is not None:
            return cosines(self.item_vectors, rows, columns)
        weights = self._exported.rows(ITEM_WEIGHTS, rows)
        if weights is None:
            raise TypeError(f"{self.metadata['algorithm']} has no item vectors")
        return shares_added(weights, rows, columns)

    def similarities_of_pools(
        self, rows: Int[np.ndarray, "users n"], columns: Int[np.ndarray, "users m"]
    ) -> Float[np.ndarray, "users n m"]:
        if self.item_vectors is not None:
            return cosines_of_pools(self.item_vectors, rows, columns)
        return symmetric_of_pools(self.similarities, rows, columns)

    def latents(self, histories: csr_array) -> Float[np.ndarray, "users latent"]:
        if LATENTS not in self._graphs:
            raise TypeError(f"{self.metadata['algorithm']} has no latent space")
        graph = self._graphs[LATENTS]
        parts = [
            graph.run(["latents"], self._inputs("histories", histories[rows]))[0]
            for rows in self._batches(histories.shape[0])
        ]
        return np.concatenate(parts)

    def _batches(self, n_users: int) -> list[slice]:
        """Return slices of users whose scores fit 32 MiB; at least one slice, even for no users."""
        size = max(MIN_BATCH, BATCH_BYTES // (4 * len(self.items)))
        return [slice(start, start + size) for start in range(0, max(n_users, 1), size)]

    def _inputs(self, name: str, x: csr_array) -> dict[str, np.ndarray]:
        """Return a matrix as the inputs of a graph."""
        if x.shape[1] != len(self.items):
            raise DataError(f"{name} over {x.shape[1]} items for a model of {len(self.items)}")
        if self._exported.settings["input"] == "dense":
            return {name: x.astype(bool).toarray()}
        return {
            f"{name}_indices": x.indices.astype(np.int64),
            f"{name}_offsets": x.indptr[:-1].astype(np.int64),
        }


def _session(path: Path, threads: int) -> Any:
    """Return a session that runs a graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # Each graph has its own threads, which would otherwise spin while they wait for work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no common base class
        reason = str(error).partition("\n")[0]
        raise ArtefactError(
            f"ONNX Runtime {onnxruntime.__version__} cannot read {path} ({reason}); upgrade "
            "onnxruntime, or export the bundle again"
        ) from None


def _vectors(exported: Exported) -> Float[np.ndarray, "items d"] | None:
    """Return a unit vector per item, or None if the model has no item vectors."""
    if exported.anchors is not None:
        return unit_vectors(exported.anchors)
    vectors = exported.item_vectors()
    return None if vectors is None else unit_vectors(vectors)


def load_scorer(
    path: Path, *, version: str, threads: int, indices: Sequence[Path] = ()
) -> OnnxScorer:
    """Read an export; see `LoadScorer`."""
    if indices:
        raise SettingsError(
            "an index (--index) works with bundles only; serve a bundle by the runtime torch"
        )
    return OnnxScorer(read_exported(path), version=version, threads=threads)
