"""Reads stored recommendations and stored histories of users."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from scipy.sparse import csr_array, vstack

from nearfar.bundle.histories import HasItems
from nearfar.bundle.history_file import read_histories
from nearfar.core.identity import key_of
from nearfar.store.reader import Reader, StoredRecommendation, UnreachableError
from nearfar.store.sinks.sink import RecommendationSink
from nearfar.web.logs import failure, log
from nearfar.web.metrics import Metrics
from nearfar.web.settings import Limits

READERS = 2
BATCH_USERS = 64
READ_SECONDS = 1.0
"""Time limit of a database for one read."""

STUCK_SECONDS = 3.0
"""A read that takes longer is taken to wait for a lost connection."""

DAYS_SECONDS = 5.0
"""How long the latest published day is cached."""

FIRST_RETRY_SECONDS = 0.5
MAX_RETRY_SECONDS = 30.0
"""Pauses between attempts to reach a store again: from the first, doubled up to the maximum."""


@dataclass(frozen=True, eq=False)
class StoredDay:
    """A user's recommendations of the latest published day, by rank."""

    day: date
    rows: list[StoredRecommendation]


class StoreDownError(Exception):
    """The store cannot be read now."""


class StoreBusyError(Exception):
    """The store is reachable but slower than the requests."""


@dataclass(eq=False)
class _WaitingUser:
    """A user who waits for an answer."""

    user: str
    future: asyncio.Future[StoredDay | None]
    expiry: asyncio.TimerHandle | None = None


class StoredRecommendations:
    """Reads stored recommendations in threads, in batches of users.

    A few readers keep a connection each. Users who arrive while all readers are busy wait, and the
    next free reader reads them with one query: the busier the store, the larger the batches. The
    queue is limited in length and time. A full queue is not a failure of the store.

    While the store cannot be reached, no request waits for it. One reader tries it again in the
    background, with a longer pause after each failure. A read that fails although the store was
    reached affects no other read.

    Args:
        sink: the sink that daily scoring writes to.
        metrics: updated with every failure.
        limits: limits of the queue; a request may wait for half of its deadline.
    """

    def __init__(self, sink: RecommendationSink, metrics: Metrics, limits: Limits) -> None:
        self._metrics = metrics
        self._queue_users = limits.queue_users
        self._wait_seconds = limits.deadline_seconds / 2
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="store")
        self._idle = [sink.reader(READ_SECONDS) for _ in range(READERS)]
        self._waiting: deque[_WaitingUser] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._down = False
        self._day: date | None = None
        self._known_until = 0.0

    async def of(self, user: str) -> StoredDay | None:
        """Return the user's recommendations; None if there are none.

        Raises:
            StoreDownError: the store cannot be read.
            StoreBusyError: too many users wait, or the user waited for too long.
        """
        if self._down:
            raise StoreDownError
        if len(self._waiting) >= self._queue_users:
            raise StoreBusyError
        loop = asyncio.get_running_loop()
        entry = _WaitingUser(user, loop.create_future())
        self._waiting.append(entry)
        self._assign_readers()
        # A client that leaves cancels this coroutine, and with it the future and the timer.
        entry.expiry = loop.call_later(self._wait_seconds, self._expire, entry)
        try:
            return await entry.future
        finally:
            entry.expiry.cancel()

    async def close(self) -> None:
        """Close connections and stop threads."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        # The connections of threads that hang are closed with the process.
        for reader in self._idle:
            reader.close()

    def _assign_readers(self) -> None:
        """Start idle readers on batches of waiting users."""
        while self._idle and self._waiting:
            batch: list[_WaitingUser] = []
            while self._waiting and len(batch) < BATCH_USERS:
                entry = self._waiting.popleft()
                if not entry.future.done():
                    batch.append(entry)
            if batch:
                self._start(self._serve(self._idle.pop(), batch))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="store")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: Reader, batch: list[_WaitingUser]) -> None:
        """Read a batch and answer its users."""
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._read_batch, reader, batch
        )
        try:
            results = await asyncio.wait_for(asyncio.shield(work), STUCK_SECONDS)
        except UnreachableError as error:
            self._failed(error, batch)
        except TimeoutError as error:
            # The thread hangs in the store's library; its reader becomes idle when that returns.
            work.add_done_callback(lambda done: self._freed(reader, done))
            self._failed(error, batch)
            return
        else:
            for entry in batch:
                result = results.get(entry.user)
                if isinstance(result, Exception):
                    self._failed(result, [entry], reached=True)
                elif not entry.future.done():
                    entry.future.set_result(result)
        self._idle.append(reader)
        self._assign_readers()

    def _freed(self, reader: Reader, work: asyncio.Future[Any]) -> None:
        if not work.cancelled():
            work.exception()  # retrieved, so that asyncio does not log it
        self._idle.append(reader)

    def _failed(
        self, error: Exception, batch: list[_WaitingUser], *, reached: bool = False
    ) -> None:
        """Answer a batch with the failure; stop using a store that cannot be reached."""
        self._metrics.store_failures.inc()
        log("store-failed", logging.ERROR, reached=reached, **failure(error))
        self._reject(batch)
        if not reached and not self._down:
            self._down = True
            self._start(self._recover())
        if self._down:
            self._reject(self._waiting)
            self._waiting.clear()

    @staticmethod
    def _reject(entries: Iterable[_WaitingUser]) -> None:
        """Answer users with `StoreDownError`."""
        for entry in entries:
            if not entry.future.done():
                entry.future.set_exception(StoreDownError())

    async def _recover(self) -> None:
        """Try the store in the background until it answers."""
        pause = FIRST_RETRY_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)
            if not self._idle:
                continue  # all readers still wait for the store
            reader = self._idle.pop()
            try:
                await asyncio.get_running_loop().run_in_executor(self._threads, reader.latest)
            except Exception as error:
                self._metrics.store_failures.inc()
                log("store-failed", logging.ERROR, reached=False, **failure(error))
            else:
                self._down = False
                log("store-back")
                return
            finally:
                self._idle.append(reader)

    def _expire(self, entry: _WaitingUser) -> None:
        """Answer a user who waited too long."""
        if not entry.future.done():
            self._metrics.refused.labels("store-busy").inc()
            entry.future.set_exception(StoreBusyError())

    def _read_batch(
        self, reader: Reader, batch: list[_WaitingUser]
    ) -> dict[str, StoredDay | Exception]:
        """Return the recommendations or error of each user; runs in a thread of the pool.

        If the read of several users fails, each is read separately, so that one user's error
        does not affect the others.
        """
        users = list(dict.fromkeys(entry.user for entry in batch))
        try:
            return {**self._read(reader, users)}
        except UnreachableError:
            raise
        except Exception as error:
            if len(users) == 1:
                return {users[0]: error}
        results: dict[str, StoredDay | Exception] = {}
        for user in users:
            if all(entry.future.done() for entry in batch if entry.user == user):
                continue  # nobody waits any longer
            try:
                results |= self._read(reader, [user])
            except UnreachableError:
                raise
            except Exception as error:
                results[user] = error
        return results

    def _read(self, reader: Reader, users: list[str]) -> dict[str, StoredDay]:
        """Return the users' recommendations of the latest day."""
        # Twice, because the cached day may have been withdrawn.
        for attempt in range(2):
            now = time.monotonic()
            if now >= self._known_until or attempt:
                self._day = reader.latest()
                self._known_until = now + DAYS_SECONDS
            day = self._day
            rows = None if day is None else reader.read(day, users)
            if day is not None and rows is not None:
                return {user: StoredDay(day, user_rows) for user, user_rows in rows.items()}
            if day is None:
                break
        return {}


class StoredHistories:
    """The histories of known users over a model's items, in memory.

    Args:
        path: a file that `read_histories` reads.
        model: the model with the items.

    Raises:
        DataError: the file cannot be read.
    """

    def __init__(self, path: Path, model: HasItems) -> None:
        parts: list[csr_array] = []
        self._row: dict[int | str, int] = {}
        self._integer = False
        for chunk in read_histories(model, path):
            for user in chunk.user_ids.to_list():
                self._row.setdefault(user, len(self._row))
            self._integer = chunk.user_ids.dtype.is_integer()
            parts.append(chunk.histories)
        empty = csr_array((0, len(model.items)), dtype=np.float32)
        self._x = csr_array(vstack(parts, format="csr")) if parts else empty

    def of(self, user: str) -> Int[np.ndarray, " items"]:
        """Return the positions of the user's items; none for an unknown user."""
        key = key_of(user, integer=self._integer)
        row = None if key is None else self._row.get(key)
        if row is None:
            return np.empty(0, np.int64)
        start, end = self._x.indptr[row], self._x.indptr[row + 1]
        return self._x.indices[start:end].astype(np.int64)
