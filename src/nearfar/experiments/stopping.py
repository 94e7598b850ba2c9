"""Stop long work cleanly: at the end of a time budget, or at SIGTERM."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Literal

from nearfar.core.errors import SettingsError
from nearfar.train.callback import Callback
from nearfar.train.history import StepReport

Stop = Literal["budget", "interrupted", "terminated"]


class Terminated(KeyboardInterrupt):
    """Raised when the process receives SIGTERM."""


class Budget:
    """A time budget that starts now.

    Args:
        minutes: size of the budget; None for no limit.

    Raises:
        SettingsError: `minutes` is negative.
    """

    def __init__(self, minutes: float | None) -> None:
        if minutes is not None and minutes < 0:
            raise SettingsError(f"the budget is {minutes} minutes; it must not be negative")
        self.deadline = None if minutes is None else time.monotonic() + 60 * minutes

    @property
    def used_up(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline


class StopAtBudget(Callback):
    """Stops a training, as Ctrl-C does, when the budget is used up.

    The training writes its checkpoint and raises KeyboardInterrupt. A fit that reports no steps is
    not stopped, because it could not resume.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.stopped = False

    def step(self, report: StepReport, /) -> None:
        if self.budget.used_up and not self.stopped:
            self.stopped = True
            if threading.current_thread() is not threading.main_thread():
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """Make SIGTERM raise `Terminated` instead of ending the process, inside the context."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        raise Terminated

    old = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def reason_of(stop: KeyboardInterrupt, budget: Budget) -> Stop:
    """Return why work was stopped."""
    if isinstance(stop, Terminated):
        return "terminated"
    return "budget" if budget.used_up else "interrupted"
