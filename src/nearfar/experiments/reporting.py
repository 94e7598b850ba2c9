"""Which callbacks a training gets, one training after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from nearfar.train.callback import Callback
from nearfar.train.trackers.tracker import trackers

Reporting = Callable[[str], AbstractContextManager[tuple[Callback, ...]]]
"""Given what is being fitted, the callbacks that receive its events until the block ends."""


@contextmanager
def silent(title: str) -> Iterator[tuple[Callback, ...]]:
    """No callbacks."""
    yield ()


def reporting_to(
    progress: Callable[[str], AbstractContextManager[Callback]],
    track: Sequence[str] = (),
    group: str = "",
) -> Reporting:
    """Return what shows the progress of each training and logs it to trackers.

    Args:
        progress: given what is being fitted, shows its progress.
        track: targets of trackers, as "mlflow:mlruns"; each training is a tracked run.
        group: of the tracked runs.
    """

    @contextmanager
    def reporting(title: str) -> Iterator[tuple[Callback, ...]]:
        with progress(title) as shown, trackers(track, title, group) as tracked:
            yield (shown, *tracked)

    return reporting
