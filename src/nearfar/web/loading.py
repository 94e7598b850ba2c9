"""Load models, put them in service, and follow the registry's pointer."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array

from nearfar.bundle.extended_catalogue import n_trained_items
from nearfar.bundle.registry_layout import (
    EXTENDED,
    POINTER,
    VERSIONS,
    current_version,
    items_file,
    newest_folder,
    with_registered_items,
)
from nearfar.core.errors import ArtefactError, NearfarError
from nearfar.core.manifest import NAME as MANIFEST
from nearfar.core.vocabulary import Vocabulary
from nearfar.reranking.reranking import ListBuilder
from nearfar.web.catalogue import Catalogue
from nearfar.web.item_map import item_map
from nearfar.web.logs import failure, log
from nearfar.web.metrics import Metrics
from nearfar.web.scorers.scorer import LoadScorer, Scorer
from nearfar.web.served_models import ServedModel, ServedModels, facts_of
from nearfar.web.settings import ServiceSettings
from nearfar.web.titles import Titles

if TYPE_CHECKING:
    from nearfar.data.interactions import Interactions
    from nearfar.web.latent_map import ServedMap

CURRENT = "current"
RETRY_SECONDS = 30.0
MAX_WARMED = 64
"""Largest of the batch sizes that are all warmed up."""

MODULES = {"torch": "bundle", "onnx": "onnx"}
"""Runtime -> its module in `web/scorers`."""

FOLDERS = {"torch": "bundle", "onnx": "onnx"}
"""Runtime -> the folder of its files within a version's folder of the registry."""


@dataclass(frozen=True)
class ModelAddress:
    """Where a version of a model is stored.

    Args:
        name: the name that the model is served under.
        version: its version.
        path: folder of its files.
        items_stamp: latest change, in nanoseconds, of the registry's titles and new items and of
            the rule file; None if there are none.
    """

    name: str
    version: str
    path: Path
    items_stamp: int | None = None


class Loader:
    """Loads models in a thread beside the event loop and puts them in service.

    Args:
        settings: what to serve.
        models: the models in service, updated with every load.
        metrics: updated with every load.
    """

    def __init__(self, settings: ServiceSettings, models: ServedModels, metrics: Metrics) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._users: Interactions | None = None
        self._titles: Titles | None = None
        self._current: dict[str, ModelAddress] = {}
        self._failed: ModelAddress | None = None
        self._retry_at = 0.0
        self.troubles: dict[str, str] = {}

    def load_all(self) -> None:
        """Load all models at the start; a registry may have no published version yet.

        Raises:
            NearfarError: a model, its index, the split, or the file of histories or titles cannot
                be read, or an index belongs to no model.
        """
        if self._settings.data is not None:
            from nearfar.core.extras import require
            from nearfar.data.interactions import whole_histories
            from nearfar.data.splits.folder import load_split

            require("sklearn", extra="maps", purpose="a latent map")
            self._users = whole_histories(load_split(self._settings.data))
        if self._settings.items is not None:
            self._titles = Titles(self._settings.items)
        for address in self._addresses():
            self._serve(address, self._load(address))
        used = {served.scorer.index_path for served in self._models}
        for path in self._settings.indices:
            if path not in used:
                raise ArtefactError(
                    f"{path} is the index of no bundle that is served: the bundle may have been "
                    "trained again or extended (build the index again: nearfar index BUNDLE --out "
                    "INDEX), or another --index serves it already"
                )

    async def watch(self) -> None:
        """Follow the registry's pointer until cancelled.

        If a version cannot be loaded, the previous one stays in service.
        """
        while self._settings.registry is not None:
            await asyncio.sleep(self._settings.limits.watch_seconds)
            try:
                await self._check_registry()
            except Exception as error:
                log("watch-failed", logging.ERROR, **failure(error))

    async def _check_registry(self) -> None:
        try:
            addresses = await asyncio.to_thread(self._addresses)
        except (NearfarError, OSError) as error:
            self._record_trouble(CURRENT, "the registry's pointer cannot be read", error)
            return
        if not addresses and CURRENT in self._models:
            error = FileNotFoundError(POINTER)
            self._record_trouble(
                CURRENT, "the registry has no pointer; is its volume mounted?", error
            )
        for address in addresses:
            if self._current.get(address.name) == address:
                self._clear_trouble(address.name)
            elif address != self._failed or time.monotonic() >= self._retry_at:
                await self._swap(address)

    async def _swap(self, address: ModelAddress) -> None:
        try:
            served = await asyncio.to_thread(self._load, address)
        except Exception as error:
            self._failed = address
            self._retry_at = time.monotonic() + RETRY_SECONDS
            self._metrics.loads.labels(address.name, "failed").inc()
            self._record_trouble(
                address.name, f"version {address.version} is published and cannot be loaded", error
            )
            return
        self._serve(address, served)
        self._clear_trouble(address.name)

    def _record_trouble(self, name: str, message: str, error: Exception) -> None:
        in_service = name in self._models
        state = "the previous version stays in service" if in_service else "no version is served"
        if name not in self.troubles:
            log("not-loaded", logging.ERROR, model=name, told=message, **failure(error))
        self.troubles[name] = f"{message} ({type(error).__name__}); {state}"
        self._metrics.stale.labels(name).set(1)

    def _clear_trouble(self, name: str) -> None:
        self.troubles.pop(name, None)
        self._metrics.stale.labels(name).set(0)

    def _serve(self, address: ModelAddress, served: ServedModel) -> None:
        previous = self._models.put(served)
        self._current[address.name] = address
        if previous is not None:
            self._metrics.loaded.remove(previous.name, previous.scorer.version)
        self._metrics.loads.labels(address.name, "done").inc()
        self._metrics.loaded.labels(address.name, address.version).set(served.loaded)
        log("serving", model=address.name, version=address.version)

    def _addresses(self) -> list[ModelAddress]:
        """Return the models that should be in service now.

        Raises:
            ArtefactError: the pointer is damaged.
        """
        registry, runtime = self._settings.registry, self._settings.runtime
        if registry is None:
            bundles = self._settings.bundles.items()
            return [ModelAddress(name, _version_of(path), path) for name, path in bundles]
        version = current_version(registry)
        if version is None:
            return []
        path = newest_folder(registry / VERSIONS / version, FOLDERS[runtime])
        rules = self._settings.rules
        files = [
            items_file(path),
            path / MANIFEST if path.name in EXTENDED.values() else None,
            rules if rules is not None and rules.exists() else None,
        ]
        stamp = max((f.stat().st_mtime_ns for f in files if f is not None), default=None)
        return [ModelAddress(CURRENT, version, path, stamp)]

    def _load(self, address: ModelAddress) -> ServedModel:
        module = importlib.import_module(f"nearfar.web.scorers.{MODULES[self._settings.runtime]}")
        load: LoadScorer = module.load_scorer
        scorer = load(
            address.path, version=address.version, threads=self._settings.threads,
            indices=self._settings.indices,
        )  # fmt: skip
        items = with_registered_items(scorer.items, address.path)
        if self._titles is not None:
            items = self._titles.onto(items, address.name)
        n_trained = n_trained_items(scorer.metadata.get("data") or {}, len(items))
        catalogue = Catalogue(items, scorer.popularity, n_trained)
        histories = None
        if self._settings.histories is not None:
            from nearfar.web.user_store import StoredHistories

            histories = StoredHistories(self._settings.histories, scorer)
        served = ServedModel(
            address.name, scorer, catalogue, histories, self._latent_map(scorer),
            item_map(scorer, items, catalogue), self._list_builder(scorer, items, address.name),
        )  # fmt: skip
        _warm_up(scorer, self._settings.limits.batch_users)
        return served

    def _list_builder(self, scorer: Scorer, items: Vocabulary, name: str) -> ListBuilder | None:
        """Return what builds lists; log the rules that name what the model does not have."""
        reranking = self._settings.reranking
        if reranking is None:
            return None
        builder = reranking.over(facts_of(scorer, items))
        for unknown in builder.rules.unknown:
            log("rule-ignored", logging.WARNING, model=name, told=unknown)
        return builder

    def _latent_map(self, scorer: Scorer) -> ServedMap | None:
        if self._users is None or "latent" not in scorer.abilities:
            return None
        from nearfar.web.latent_map import make_map

        return make_map(scorer, self._users)


def _version_of(path: Path) -> str:
    """Return the registry's version of a bundle, or the folder's name outside a registry."""
    target = path.resolve()
    folders = {*FOLDERS.values(), *EXTENDED.values()}
    in_registry = target.name in folders and target.parent.parent.name == VERSIONS
    return target.parent.name if in_registry else path.name


def _warm_up(scorer: Scorer, batch_users: int) -> None:
    """Score a batch of each likely size, so that the first requests are as fast as later ones.

    oneDNN keeps code and memory for every size, in all about 60 MiB for a model of 20,000 items,
    which is better allocated at the start than while requests are answered.
    """
    n_items = len(scorer.items)
    for n in sorted({*range(1, min(batch_users, MAX_WARMED) + 1), batch_users}):
        rows = np.arange(n)
        x = csr_array((np.ones(n, np.float32), (rows, rows % n_items)), shape=(n, n_items))
        scorer.top_k(x, 1, x)
        if scorer.index_k:
            scorer.top_k_by_index(x, 1, x)
