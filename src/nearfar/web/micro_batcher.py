"""The micro-batcher: requests gathered into batches, scored in one thread beside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from prometheus_client import Gauge

from nearfar.web.metrics import Metrics
from nearfar.web.problems import ProblemError, queue_full, too_late
from nearfar.web.scoring import ScoringRequest, ScoringResult, score_batch
from nearfar.web.served_models import ServedModel
from nearfar.web.settings import Limits

T = TypeVar("T")

MAX_HANDED = 2
"""Batches that the scoring thread may have: the one being scored, and a whole one for afterwards.
The event loop may be at the answers of the last batch for as long as a batch takes, and could not
hand over the next: with one alone the service answers three in four as many (two cores)."""


@dataclass(eq=False)
class _Entry:
    """What waits: a history for a model, or any other call."""

    future: asyncio.Future[Any]
    expiry: asyncio.TimerHandle
    cost: int
    served: ServedModel | None = None
    request: ScoringRequest | None = None
    call: Callable[[], Any] | None = None


class MicroBatcher:
    """Histories wait until the scoring thread is free, and then go as many at once as may.

    While nothing is scored the first waits `wait_seconds` for company; while a batch is, the next
    goes ahead once it is whole. Histories that cost more,
    as with explanations, count as so many. What waits beyond its deadline is dropped unscored;
    what is being scored then is answered to nobody.

    Args:
        limits: of batch, queue and time.
        metrics: updated with every refusal and batch.
        waiting: the gauge of how many wait; by default that of histories.
    """

    def __init__(self, limits: Limits, metrics: Metrics, waiting: Gauge | None = None) -> None:
        self._limits = limits
        self._metrics = metrics
        self._gauge = waiting or metrics.waiting
        self._waiting: deque[_Entry] = deque()
        self._n_waiting = 0
        self._handed: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to work; within the event loop."""
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._task = asyncio.get_running_loop().create_task(self._run(), name="micro-batcher")

    async def stop(self) -> None:
        """Answer what waits, then end."""
        deadline = time.monotonic() + self._limits.deadline_seconds
        while (self._waiting or self._handed) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for entry in self._waiting:
            _fail(entry, ProblemError(503, "stopping", "the service is being stopped"))
        self._thread.shutdown(wait=False, cancel_futures=True)

    def deadline(self) -> float:
        """Return when a request that comes now must be answered, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self._limits.deadline_seconds

    async def rank(
        self,
        served: ServedModel,
        requests: Sequence[ScoringRequest],
        *,
        deadline: float | None = None,
    ) -> list[ScoringResult]:
        """Return the best items for some histories by one model.

        Args:
            served: the model.
            requests: the histories, and what to recommend for each.
            deadline: of the request, where it came earlier; see `deadline`.

        Raises:
            ProblemError: the queue is full, or the deadline passed.
        """
        cost = sum(request.cost for request in requests)
        self._admit(cost)
        entries = [self._entry(r.cost, deadline, served=served, request=r) for r in requests]
        if len(entries) == 1:
            return [await entries[0].future]
        return list(await asyncio.gather(*(entry.future for entry in entries)))

    async def call(
        self, function: Callable[..., T], *args: Any, deadline: float | None = None
    ) -> T:
        """Return a function's result, called in the scoring thread in its turn.

        Args:
            function: what to call.
            args: what to call it with.
            deadline: as of `rank`.

        Raises:
            ProblemError: as of `rank`.
        """
        self._admit(1)
        return await self._entry(1, deadline, call=partial(function, *args)).future

    def _admit(self, cost: int) -> None:
        # A request that alone exceeds the queue is let in when nothing waits.
        if self._n_waiting and self._n_waiting + cost > self._limits.queue_users:
            self._metrics.refused.labels("queue-full").inc()
            raise queue_full()

    def _entry(self, cost: int, deadline: float | None, **what: Any) -> _Entry:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        expiry = loop.call_at(deadline or self.deadline(), self._expire, future)
        entry = _Entry(future, expiry, cost, **what)
        self._waiting.append(entry)
        self._count(cost)
        self._wake.set()
        return entry

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            self._metrics.refused.labels("deadline").inc()
            future.set_exception(too_late())

    def _count(self, cost: int) -> None:
        self._n_waiting += cost
        self._gauge.set(self._n_waiting)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._due()
            batch = self._take()
            if batch:
                handed = loop.create_task(self._score(batch), name="batch")
                self._handed.add(handed)
                handed.add_done_callback(self._done)

    async def _due(self) -> None:
        """Wait until a batch is to be handed to the scoring thread."""
        while True:
            self._wake.clear()
            full = self._n_waiting >= self._limits.batch_users
            if self._waiting and not self._handed:
                if not full:
                    await asyncio.sleep(self._limits.wait_seconds)
                return
            if full and len(self._handed) < MAX_HANDED:
                return
            await self._wake.wait()

    def _done(self, batch: asyncio.Task[None]) -> None:
        self._handed.discard(batch)
        self._wake.set()

    async def _score(self, batch: list[_Entry]) -> None:
        try:
            results, seconds = await asyncio.get_running_loop().run_in_executor(
                self._thread, _score_waiting, batch
            )
        except Exception as error:
            for entry in batch:
                _fail(entry, error)
        else:
            for entry, result in results:
                entry.expiry.cancel()
                if not entry.future.done():
                    entry.future.set_result(result)
            if results and batch[0].request is not None:
                self._metrics.batch_users.observe(len(results))
                self._metrics.batch_seconds.observe(seconds)
                self._count_ways(results)

    def _count_ways(self, results: Sequence[tuple[_Entry, ScoringResult]]) -> None:
        for entry, result in results:
            if result.by_index is not None and entry.served is not None:
                way = "index" if result.by_index else "exact"
                self._metrics.ranked.labels(entry.served.name, way).inc()

    def _take(self) -> list[_Entry]:
        """The next batch: the first that waits, and others of its kind for its model."""
        batch: list[_Entry] = []
        others: list[_Entry] = []
        cost = 0
        while self._waiting and cost < self._limits.batch_users:
            entry = self._waiting.popleft()
            if entry.future.done():
                self._count(-entry.cost)
            elif batch and (entry.served is not batch[0].served or entry.call is not None):
                others.append(entry)
            else:
                self._count(-entry.cost)
                batch.append(entry)
                cost += entry.cost
                if entry.call is not None:
                    break
        self._waiting.extendleft(reversed(others))
        return batch


def _score_waiting(batch: list[_Entry]) -> tuple[list[tuple[_Entry, Any]], float]:
    """What still waits of a batch, with its results, and the seconds that they took."""
    started = time.perf_counter()
    waiting = [entry for entry in batch if not entry.future.done()]
    results: list[Any] = []
    if waiting and waiting[0].call is not None:
        results = [waiting[0].call()]
    elif waiting:
        assert waiting[0].served is not None
        requests = [entry.request for entry in waiting if entry.request is not None]
        results = score_batch(waiting[0].served.scorer, requests)
    return list(zip(waiting, results, strict=True)), time.perf_counter() - started


def _fail(entry: _Entry, error: BaseException) -> None:
    entry.expiry.cancel()
    if not entry.future.done():
        entry.future.set_exception(error)
