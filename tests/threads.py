"""Threads that do one thing over and over while a test does another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self


class Threads:
    """Run for as long as the block of `with`.

    Args:
        work: called in each thread with its number; returns soon after `over` is set.
        n: how many.
    """

    def __init__(self, work: Callable[[int], None], n: int) -> None:
        self.over = threading.Event()
        self._threads = [threading.Thread(target=work, args=(number,)) for number in range(n)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self._threads), "a thread does not end"
