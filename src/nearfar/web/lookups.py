"""Titles looked up in a thread of their own, under the deadline, for as long as somebody waits."""

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
    """Calls functions one after the other, as many as may wait, within the deadline.

    What nobody waits for any longer, because its deadline has passed or its client has left, is
    not begun; what has begun is told so, and stops at its next step.

    Args:
        limits: of the queue and of time.
        metrics: updated with the length of the queue and with what is refused.
    """

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        limits = replace(limits, wait_seconds=0.0, batch_users=1)
        self._queue = MicroBatcher(limits, metrics, metrics.lookups_waiting)

    def start(self) -> None:
        """Begin to work; within the event loop."""
        self._queue.start()

    async def stop(self) -> None:
        """Answer what waits, then end."""
        await self._queue.stop()

    async def call(
        self,
        receive: Receive,
        deadline: float | None,
        function: Callable[Concatenate[IsAwaited, P], T],
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Return what a function returns.

        Args:
            receive: of the request, whose body has been read.
            deadline: on the event loop's clock; the limits' own, from now, by default.
            function: first given what tells it whether to go on.
            args: the rest of what it is given.
            named: likewise.

        Raises:
            ProblemError: the queue is full, the deadline passed, or the client left.
        """
        stopped = False

        def work() -> T:
            return function(lambda: not stopped, *args, **named)

        task = asyncio.ensure_future(self._queue.call(work, deadline=deadline))
        left = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise ProblemError(400, "disconnected", "the client left before it was answered")
            return task.result()
        finally:
            stopped = True
            task.cancel()
            left.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
