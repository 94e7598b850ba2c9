"""The micro-batcher: collects requests into batches and scores them in a thread of its own."""

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

MAX_SUBMITTED = 2
"""Batches submitted to the scoring thread: the one being scored, and a full one to follow. While
the event loop sends the responses of a batch it cannot submit the next. With a limit of one the
service answers three quarters as many requests (two cores)."""


@dataclass(eq=False)
class _Entry:
    """A history to score with a model, or another call, waiting in the queue."""

    future: asyncio.Future[Any]
    expiry: asyncio.TimerHandle
    cost: int
    served: ServedModel | None = None
    request: ScoringRequest | None = None
    call: Callable[[], Any] | None = None


class MicroBatcher:
    """Queues histories until the scoring thread is free, then scores as many as fit a batch.

    While the scoring thread is idle, the first history waits `wait_seconds` for others. While it
    scores, the next batch is submitted once it is full. A history with an explanation counts as the
    histories that the explanation scores. A history that waits past its deadline is not scored; the
    result of one that is being scored then is discarded.

    Args:
        limits: limits of the batch, the queue and the time.
        metrics: updated with every refusal and batch.
        waiting: gauge of the queue's length; by default that of histories.
    """

    def __init__(self, limits: Limits, metrics: Metrics, waiting: Gauge | None = None) -> None:
        self._limits = limits
        self._metrics = metrics
        self._gauge = waiting or metrics.waiting
        self._waiting: deque[_Entry] = deque()
        self._n_waiting = 0
        self._submitted: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the scoring thread; called in the event loop."""
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scoring")
        self._task = asyncio.get_running_loop().create_task(self._run(), name="micro-batcher")

    async def stop(self) -> None:
        """Score what waits, at most until the deadline, then stop."""
        deadline = time.monotonic() + self._limits.deadline_seconds
        while (self._waiting or self._submitted) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for entry in self._waiting:
            _fail(entry, ProblemError(503, "stopping", "the service is being stopped"))
        self._thread.shutdown(wait=False, cancel_futures=True)

    def deadline(self) -> float:
        """Return the deadline of a request that arrives now, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self._limits.deadline_seconds

    async def rank(
        self,
        served: ServedModel,
        requests: Sequence[ScoringRequest],
        *,
        deadline: float | None = None,
    ) -> list[ScoringResult]:
        """Return the best items for histories by one model.

        Args:
            served: the model.
            requests: the histories, and what to recommend for each.
            deadline: the deadline of the request, if it arrived earlier; see `deadline`.

        Raises:
            ProblemError: the queue is full, or the deadline passed.
        """
        cost = sum(request.cost for request in requests)
        self._check_queue(cost)
        entries = [self._enqueue(r.cost, deadline, served=served, request=r) for r in requests]
        if len(entries) == 1:
            return [await entries[0].future]
        return list(await asyncio.gather(*(entry.future for entry in entries)))

    async def call(
        self, function: Callable[..., T], *args: Any, deadline: float | None = None
    ) -> T:
        """Call a function in the scoring thread, in its turn, and return its result.

        Args:
            function: the function.
            args: its arguments.
            deadline: as in `rank`.

        Raises:
            ProblemError: as in `rank`.
        """
        self._check_queue(1)
        return await self._enqueue(1, deadline, call=partial(function, *args)).future

    def _check_queue(self, cost: int) -> None:
        # A request larger than the whole queue is accepted when nothing waits.
        if self._n_waiting and self._n_waiting + cost > self._limits.queue_users:
            self._metrics.refused.labels("queue-full").inc()
            raise queue_full()

    def _enqueue(self, cost: int, deadline: float | None, **work: Any) -> _Entry:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        expiry = loop.call_at(deadline or self.deadline(), self._expire, future)
        entry = _Entry(future, expiry, cost, **work)
        self._waiting.append(entry)
        self._add_waiting(cost)
        self._wake.set()
        return entry

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            self._metrics.refused.labels("deadline").inc()
            future.set_exception(too_late())

    def _add_waiting(self, cost: int) -> None:
        self._n_waiting += cost
        self._gauge.set(self._n_waiting)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_until_due()
            batch = self._take_batch()
            if batch:
                task = loop.create_task(self._score(batch), name="batch")
                self._submitted.add(task)
                task.add_done_callback(self._on_done)

    async def _wait_until_due(self) -> None:
        """Wait until the next batch should be submitted to the scoring thread."""
        while True:
            self._wake.clear()
            full = self._n_waiting >= self._limits.batch_users
            if self._waiting and not self._submitted:
                if not full:
                    await asyncio.sleep(self._limits.wait_seconds)
                return
            if full and len(self._submitted) < MAX_SUBMITTED:
                return
            await self._wake.wait()

    def _on_done(self, batch: asyncio.Task[None]) -> None:
        self._submitted.discard(batch)
        self._wake.set()

    async def _score(self, batch: list[_Entry]) -> None:
        try:
            results, seconds = await asyncio.get_running_loop().run_in_executor(
                self._thread, _score_entries, batch
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

    def _take_batch(self) -> list[_Entry]:
        """Take the next batch off the queue: one call, or histories for the same model."""
        batch: list[_Entry] = []
        others: list[_Entry] = []
        cost = 0
        while self._waiting and cost < self._limits.batch_users:
            entry = self._waiting.popleft()
            if entry.future.done():
                self._add_waiting(-entry.cost)
            elif batch and (entry.served is not batch[0].served or entry.call is not None):
                others.append(entry)
            else:
                self._add_waiting(-entry.cost)
                batch.append(entry)
                cost += entry.cost
                if entry.call is not None:
                    break
        self._waiting.extendleft(reversed(others))
        return batch


def _score_entries(batch: list[_Entry]) -> tuple[list[tuple[_Entry, Any]], float]:
    """Score the entries of a batch that still wait; return them with results, and the seconds."""
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
