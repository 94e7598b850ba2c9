"""A small log, and a clock that moves only when a test says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from nearfar.data.interactions import Interactions
from nearfar.train.callback import Callback, EndReport
from tests.conftest import interactions

LINEAR = ("popularity", "ease", "edlae")


def two_tastes(n_users: int = 240, n_items: int = 30, seed: int = 0) -> Interactions:
    """Users of two tastes; a linear model finds both at once."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n_users, n_items))
    half = n_items // 2
    for user in range(n_users):
        taste = half * (user % 2)
        dense[user, taste : taste + half] = rng.random(half) < np.linspace(0.9, 0.4, half)
    return interactions(dense)


class Time:
    """In place of the module `time`: moves by what it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


class ProcessorTime:
    """In place of the module `time`: seconds of this process, however busy the machine is."""

    monotonic = perf_counter = staticmethod(time.process_time)


class Fits(Callback):
    """In place of progress: counts fits, and lets each take some seconds of a `Time`."""

    def __init__(self, time: Time | None = None, seconds: float = 0.0) -> None:
        self.titles: list[str] = []
        self.time, self.seconds = time, seconds
        self.stop_at: int | None = None
        self.error: BaseException = KeyboardInterrupt()

    @contextmanager
    def __call__(self, title: str) -> Iterator[tuple[Fits]]:
        self.titles.append(title)
        if self.stop_at is not None and len(self.titles) == self.stop_at:
            raise self.error
        yield (self,)

    def end(self, report: EndReport, /) -> None:
        if self.time is not None:
            self.time.now += self.seconds
