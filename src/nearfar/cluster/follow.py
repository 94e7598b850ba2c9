"""Reports of the epochs of a training in other processes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nearfar.train.history import EpochRecord
from nearfar.train.run import Reporter

SECONDS = 0.5


@contextmanager
def followed(path: Path, reporter: Reporter) -> Iterator[None]:
    """Report every epoch that appears in a file of metrics while the block lasts.

    A training that is taken up from a checkpoint writes some epochs again; they are reported once.
    """
    over = threading.Event()

    def follow() -> None:
        told = -1
        while True:
            last = over.wait(SECONDS)
            for record in _records(path):
                if record.epoch > told:
                    told = record.epoch
                    reporter.epoch(record)
            if last:
                return

    thread = threading.Thread(target=follow, name="nearfar-follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _records(path: Path) -> list[EpochRecord]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    whole = text[: text.rfind("\n") + 1]  # the last line may be half written
    return [EpochRecord(**json.loads(line)) for line in whole.splitlines()]
