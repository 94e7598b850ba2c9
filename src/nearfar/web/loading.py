"""Models read, made ready and put in service; the registry's pointer followed."""

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
MODULES = {"torch": "bundle", "onnx": "onnx"}
FOLDERS = {"torch": "bundle", "onnx": "onnx"}
"""Where in a version's folder of the registry the runtime's files are."""


@dataclass(frozen=True)
class ModelAddress:
    """Where a model is.

    `items_stamp` changes with the registry's titles and new items and the file of rules, and is
    None without any.
    """

    name: str
    version: str
    path: Path
    items_stamp: int | None = None


class Loader:
    """Loads models beside the event loop and puts them in service.

    Args:
        settings: what to serve.
        models: where they go.
        metrics: updated with every load.
    """

    def __init__(self, settings: ServiceSettings, models: ServedModels, metrics: Metrics) -> None:
        self._settings = settings
        self._models = models
        self._metrics = metrics
        self._users: Interactions | None = None
        self._titles: Titles | None = None
        self._serving: dict[str, ModelAddress] = {}
        self._refused: ModelAddress | None = None
        self._again = 0.0
        self.troubles: dict[str, str] = {}

    def load_all(self) -> None:
        """Load what there is at the start; a registry may have nothing published yet.

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
                    f"{path} is the index of no bundle that is served, or of one before it was "
                    "trained again or extended; build it again: nearfar index BUNDLE --out INDEX"
                )

    async def watch(self) -> None:
        """Follow the pointer for ever; what cannot be loaded leaves the model before in service."""
        while self._settings.registry is not None:
            await asyncio.sleep(self._settings.limits.watch_seconds)
            try:
                await self._look()
            except Exception as error:
                log("watch-failed", logging.ERROR, **failure(error))

    async def _look(self) -> None:
        try:
            addresses = await asyncio.to_thread(self._addresses)
        except (NearfarError, OSError) as error:
            self._trouble(CURRENT, "the registry's pointer cannot be read", error)
            return
        if not addresses and CURRENT in self._models:
            gone = FileNotFoundError(POINTER)
            self._trouble(CURRENT, "the registry has no pointer; is its volume mounted?", gone)
        for address in addresses:
            if self._serving.get(address.name) == address:
                self._clear(address.name)
            elif address != self._refused or time.monotonic() >= self._again:
                await self._swap(address)

    async def _swap(self, address: ModelAddress) -> None:
        try:
            served = await asyncio.to_thread(self._load, address)
        except Exception as error:
            self._refused = address
            self._again = time.monotonic() + RETRY_SECONDS
            self._metrics.loads.labels(address.name, "failed").inc()
            self._trouble(
                address.name, f"version {address.version} is published and cannot be loaded", error
            )
            return
        self._serve(address, served)
        self._clear(address.name)

    def _trouble(self, name: str, told: str, error: Exception) -> None:
        before = "the one before serves on" if name in self._models else "nothing serves"
        if name not in self.troubles:
            log("not-loaded", logging.ERROR, model=name, told=told, **failure(error))
        self.troubles[name] = f"{told} ({type(error).__name__}); {before}"
        self._metrics.stale.labels(name).set(1)

    def _clear(self, name: str) -> None:
        self.troubles.pop(name, None)
        self._metrics.stale.labels(name).set(0)

    def _serve(self, address: ModelAddress, served: ServedModel) -> None:
        before = self._models.put(served)
        self._serving[address.name] = address
        if before is not None:
            self._metrics.loaded.remove(before.name, before.scorer.version)
        self._metrics.loads.labels(address.name, "done").inc()
        self._metrics.loaded.labels(address.name, address.version).set(served.loaded)
        log("serving", model=address.name, version=address.version)

    def _addresses(self) -> list[ModelAddress]:
        """What is to be served now.

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
        n_trained = n_trained_items(scorer.about.get("data") or {}, len(items))
        catalogue = Catalogue(items, scorer.popularity, n_trained)
        histories = None
        if self._settings.histories is not None:
            from nearfar.web.user_store import StoredHistories

            histories = StoredHistories(self._settings.histories, scorer)
        served = ServedModel(
            address.name, scorer, catalogue, histories, self._map(scorer),
            item_map(scorer, items, catalogue), self._builder(scorer, items, address.name),
        )  # fmt: skip
        _warm_up(scorer, self._settings.limits.batch_users)
        return served

    def _builder(self, scorer: Scorer, items: Vocabulary, name: str) -> ListBuilder | None:
        """What builds lists; rules about what the model does not know are told in the log."""
        reranking = self._settings.reranking
        if reranking is None:
            return None
        builder = reranking.over(facts_of(scorer, items))
        for unknown in builder.rules.unknown:
            log("rule-ignored", logging.WARNING, model=name, told=unknown)
        return builder

    def _map(self, scorer: Scorer) -> ServedMap | None:
        if self._users is None or "latent" not in scorer.abilities:
            return None
        from nearfar.web.latent_map import make_map

        return make_map(scorer, self._users)


def _version_of(path: Path) -> str:
    """The version of a bundle: the registry's where it lies, or a link leads, in one."""
    real = path.resolve()
    folders = {*FOLDERS.values(), *EXTENDED.values()}
    in_registry = real.name in folders and real.parent.parent.name == VERSIONS
    return real.parent.name if in_registry else path.name


def _warm_up(scorer: Scorer, batch_users: int) -> None:
    """A batch of each size that comes, so that the first requests are as fast as the others.

    oneDNN keeps code and room for every size that it has seen, in all some 60 MiB for a model of
    20,000 items: better taken at the start than while requests are answered.
    """
    n_items = len(scorer.items)
    for n in sorted({*range(1, min(batch_users, MAX_WARMED) + 1), batch_users}):
        rows = np.arange(n)
        x = csr_array((np.ones(n, np.float32), (rows, rows % n_items)), shape=(n, n_items))
        scorer.top_k(x, 1, x)
        if scorer.index_k:
            scorer.top_k_by_index(x, 1, x)
