"""What is stored of users: recommendations made before, and histories."""

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
"""A database gives up a read after this time."""

STUCK_SECONDS = 3.0
"""A read that has not returned by then waits for a connection that is gone."""

DAYS_SECONDS = 5.0
"""How long a day counts as the latest before the store is asked again."""

FIRST_REST_SECONDS = 0.5
LONGEST_REST_SECONDS = 30.0
"""Rests between attempts to reach a store again: the first, doubled each time up to the last."""


@dataclass(frozen=True, eq=False)
class StoredDay:
    """A user's recommendations of the latest published day, by rank."""

    day: date
    rows: list[StoredRecommendation]


class StoreDownError(Exception):
    """The store cannot be read now."""


class StoreBusyError(Exception):
    """The store answers, but not as fast as it is asked."""


@dataclass(eq=False)
class _WaitingUser:
    """A user who waits for an answer."""

    user: str
    future: asyncio.Future[StoredDay | None]
    expiry: asyncio.TimerHandle | None = None


class StoredRecommendations:
    """Reads a sink beside the event loop, several users at once.

    A few readers each keep a connection. Users who come while all readers are busy wait, and the
    next free reader reads all of them by one query: the busier the store, the more users each
    query serves. The queue is bounded in length and in time. To wait is not a failure, so a full
    queue does not count against the store.

    Where the store cannot be reached, no request waits for it: it is left alone for a while,
    longer after each failure, and one reader tries it again in the background. A read that fails
    although the store was reached fails alone.

    Args:
        sink: what the daily scoring writes.
        metrics: updated with every failure.
        limits: of the queue; a request may wait for half of its deadline.
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
        """Return the user's recommendations, or None where there are none.

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
        self._hand_out()
        # The timer is made where the future is: a client that leaves cancels both.
        entry.expiry = loop.call_later(self._wait_seconds, self._expire, entry)
        try:
            return await entry.future
        finally:
            entry.expiry.cancel()

    async def close(self) -> None:
        """Let connections and threads go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        # What a thread that hangs still holds is closed with the process.
        for reader in self._idle:
            reader.close()

    def _hand_out(self) -> None:
        """Give waiting users to idle readers."""
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
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._read_alone_where_it_fails, reader, batch
        )
        try:
            found = await asyncio.wait_for(asyncio.shield(work), STUCK_SECONDS)
        except UnreachableError as error:
            self._failed(error, batch)
        except TimeoutError as error:
            # The thread hangs in the store's library; the reader is idle again when that returns.
            work.add_done_callback(lambda done: self._freed(reader, done))
            self._failed(error, batch)
            return
        else:
            for entry in batch:
                result = found.get(entry.user)
                if isinstance(result, Exception):
                    self._failed(result, [entry], reached=True)
                elif not entry.future.done():
                    entry.future.set_result(result)
        self._idle.append(reader)
        self._hand_out()

    def _freed(self, reader: Reader, work: asyncio.Future[Any]) -> None:
        if not work.cancelled():
            work.exception()  # looked at, so that nothing is logged for it
        self._idle.append(reader)

    def _failed(
        self, error: Exception, batch: list[_WaitingUser], *, reached: bool = False
    ) -> None:
        """Tell those who wait, and leave a store alone that cannot be reached."""
        self._metrics.store_failures.inc()
        log("store-failed", logging.ERROR, reached=reached, **failure(error))
        self._tell_down(batch)
        if not reached and not self._down:
            self._down = True
            self._start(self._recover())
        if self._down:
            self._tell_down(self._waiting)
            self._waiting.clear()

    @staticmethod
    def _tell_down(entries: Iterable[_WaitingUser]) -> None:
        for entry in entries:
            if not entry.future.done():
                entry.future.set_exception(StoreDownError())

    async def _recover(self) -> None:
        """Try the store again until it answers; no request pays for that."""
        rest = FIRST_REST_SECONDS
        while True:
            await asyncio.sleep(rest)
            rest = min(2 * rest, LONGEST_REST_SECONDS)
            if not self._idle:
                continue  # every reader still waits for the store
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
        if not entry.future.done():
            self._metrics.refused.labels("store-busy").inc()
            entry.future.set_exception(StoreBusyError())

    def _read_alone_where_it_fails(
        self, reader: Reader, batch: list[_WaitingUser]
    ) -> dict[str, StoredDay | Exception]:
        """The users' recommendations; in a thread of the pool.

        What one user's read fails of must not cost the others their answers: where the read of
        several fails, each is read alone.
        """
        users = list(dict.fromkeys(entry.user for entry in batch))
        try:
            return {**self._read(reader, users)}
        except UnreachableError:
            raise
        except Exception as error:
            if len(users) == 1:
                return {users[0]: error}
        found: dict[str, StoredDay | Exception] = {}
        for user in users:
            if all(entry.future.done() for entry in batch if entry.user == user):
                continue  # nobody waits for it any longer
            try:
                found |= self._read(reader, [user])
            except UnreachableError:
                raise
            except Exception as error:
                found[user] = error
        return found

    def _read(self, reader: Reader, users: list[str]) -> dict[str, StoredDay]:
        for attempt in range(2):
            now = time.monotonic()
            if now >= self._known_until or attempt:
                self._day = reader.latest()
                self._known_until = now + DAYS_SECONDS
            day = self._day
            rows = None if day is None else reader.read(day, users)
            if day is not None and rows is not None:
                return {user: StoredDay(day, own) for user, own in rows.items()}
            if day is None:
                break
        return {}


class StoredHistories:
    """Histories of known users over a model's items, in memory.

    Args:
        path: as of `read_histories`.
        model: whose items they are.

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
        """The user's items as positions; none for one who is unknown."""
        key = key_of(user, integer=self._integer)
        row = None if key is None else self._row.get(key)
        if row is None:
            return np.empty(0, np.int64)
        start, end = self._x.indptr[row], self._x.indptr[row + 1]
        return self._x.indices[start:end].astype(np.int64)
