"""Looks up titles in a thread, within the deadline and while the client waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Concatenate, ParamSpec, TypeVar

from starlette.types import Receive

from nearfar.web.catalogue import IsAwaited
from nearfar.web.metrics import Metrics
from nearfar.web.micro_batcher import MicroBatcher
from nearfar.web.problems import ProblemError
from nearfar.web.settings import Limits

P = ParamSpec("P")
T = TypeVar("T")


class Lookups:
    """A queue of functions that run one after the other in a thread, each within its deadline.

    A call whose deadline has passed or whose client has left is not started; if it runs already,
    it stops at its next step.

    Args:
        limits: length of the queue, and deadline.
        metrics: updated with the length of the queue and the refused requests.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        limits = replace(limits, wait_seconds=0.0, batch_users=1)
        self._queue = MicroBatcher(limits, metrics, metrics.lookups_waiting)

    def start(self) -> None:
        """Start the thread; call it within the event loop."""
        self._queue.start()

    async def stop(self) -> None:
        """Answer the waiting calls, then stop."""
        await self._queue.stop()

    async def call(
        self,
        receive: Receive,
        deadline: float | None,
        function: Callable[Concatenate[IsAwaited, P], T],
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Call a function in the thread and return its result.

        Args:
            receive: the request's `receive`, after its body was read.
            deadline: on the event loop's clock; None for that of the limits, from now.
            function: takes a callable that returns whether to continue, then the arguments.
            *args: positional arguments of the function.
            **named: keyword arguments of the function.

        Raises:
            ProblemError: the queue is full, the deadline passed, or the client left.
        """
        stopped = False

        def work() -> T:
            return function(lambda: not stopped, *args, **named)

        task = asyncio.ensure_future(self._queue.call(work, deadline=deadline))
        disconnected = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((task, disconnected), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ProblemError(400, "disconnected", "the client left before it was answered")
            return task.result()
        finally:
            stopped = True
            task.cancel()
            disconnected.cancel()


async def _disconnected(receive: Receive) -> None:
    """Return when the client disconnects."""
    while (await receive())["type"] != "http.disconnect":
        pass
