"""What is stored of users: recommendations made before, and histories."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy.sparse import csr_array, vstack

from nearfar.bundle.history_file import read_histories
from nearfar.core.vocabulary import Vocabulary
from nearfar.store.sinks.sink import RecommendationSink
from nearfar.web.logs import failure, log
from nearfar.web.metrics import Metrics

READERS = 4
READ_SECONDS = 1.0
DAYS_SECONDS = 30.0
REST_SECONDS = 5.0
"""After a failure the store is left alone for so long, so that not every request waits for it."""


@dataclass(frozen=True, eq=False)
class StoredDay:
    """A user's recommendations of the latest day that is published."""

    day: date
    rows: pl.DataFrame


class StoreDownError(Exception):
    """The store cannot be read now."""


class StoredRecommendations:
    """Reads a sink without holding up the event loop, and rests where it fails.

    Args:
        sink: what the daily scoring writes.
        metrics: are told of failures.
    """

    def __init__(self, sink: RecommendationSink, metrics: Metrics) -> None:
        self._sink = sink
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store")
        self._day: date | None = None
        self._known_until = 0.0
        self._rest_until = 0.0

    async def of(self, user: str) -> StoredDay | None:
        """The user's recommendations, or None where there are none.

        Raises:
            StoreDownError: the store cannot be read, or was not a moment ago.
        """
        if time.monotonic() < self._rest_until:
            raise StoreDownError
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await loop.run_in_executor(self._threads, self._read, user)
        except Exception as error:
            self._rest_until = time.monotonic() + REST_SECONDS
            self._metrics.store_failures.inc()
            log("store-failed", logging.ERROR, **failure(error))
            raise StoreDownError from None

    def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _read(self, user: str) -> StoredDay | None:
        now = time.monotonic()
        if now >= self._known_until:
            days = self._sink.dates()
            self._day = days[-1] if days else None
            self._known_until = now + DAYS_SECONDS
        if self._day is None:
            return None
        rows = self._sink.read(self._day, user)
        return StoredDay(self._day, rows) if rows.height else None


@dataclass(frozen=True, eq=False)
class _Over:
    """Items, as `read_histories` asks for them."""

    items: Vocabulary

    @property
    def n_items(self) -> int:
        return len(self.items)


class StoredHistories:
    """Histories of known users over a model's items, in memory.

    Args:
        path: as of `read_histories`.
        items: of the model.

    Raises:
        DataError: the file cannot be read.
    """

    def __init__(self, path: Path, items: Vocabulary) -> None:
        parts: list[csr_array] = []
        self._row: dict[str, int] = {}
        for chunk in read_histories(_Over(items), path):
            for user in chunk.user_ids.to_list():
                self._row.setdefault(str(user), len(self._row))
            parts.append(chunk.histories)
        empty = csr_array((0, len(items)), dtype=np.float32)
        self._x = csr_array(vstack(parts, format="csr")) if parts else empty

    def of(self, user: str) -> Int[np.ndarray, " items"]:
        """The user's items as positions; none for one who is unknown."""
        row = self._row.get(user)
        if row is None:
            return np.empty(0, np.int64)
        start, end = self._x.indptr[row], self._x.indptr[row + 1]
        return self._x.indices[start:end].astype(np.int64)
