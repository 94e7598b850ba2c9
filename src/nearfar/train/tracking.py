"""Trackers by their targets, as "mlflow:mlruns": made, checked, and opened for trainings."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nearfar.core import discovery
from nearfar.train.callback import Callback, Reporting
from nearfar.train.trackers.tracker import PACKAGE, Tracker


def make_tracker(target: str, name: str | None = None, group: str = "") -> Tracker:
    """Return the tracker of a target, as "mlflow:mlruns", "tensorboard:runs" or "wandb".

    A tracker of your own is named by its dotted path, as "their_package.module.Class:PLACE".

    Raises:
        UnknownNameError: no tracker is called so.
        MissingExtraError: its package is not installed.
        SettingsError: the place is missing.
    """
    kind, _, place = target.partition(":")
    cls: type[Any] = discovery.find(PACKAGE, Tracker, kind.strip())
    return cls(place.strip(), name, group)


def check_targets(targets: Sequence[str]) -> None:
    """Check targets of trackers before long work starts; raises as `make_tracker`."""
    for target in targets:
        make_tracker(target)


@contextlib.contextmanager
def trackers(
    targets: Sequence[str], name: str | None = None, group: str = ""
) -> Iterator[tuple[Tracker, ...]]:
    """Yield the trackers of targets, each open until the block ends; see `make_tracker`."""
    with contextlib.ExitStack() as stack:
        yield tuple([stack.enter_context(make_tracker(t, name, group)) for t in targets])


def reporting_to(
    progress: Callable[[str], contextlib.AbstractContextManager[Callback]],
    track: Sequence[str] = (),
    group: str = "",
) -> Reporting:
    """Return what shows the progress of each training and logs it to trackers.

    Args:
        progress: given what is being fitted, shows its progress.
        track: targets of trackers, as "mlflow:mlruns"; each training is a tracked run.
        group: of the tracked runs.
    """

    @contextlib.contextmanager
    def reporting(title: str) -> Iterator[tuple[Callback, ...]]:
        with progress(title) as shown, trackers(track, title, group) as tracked:
            yield (shown, *tracked)

    return reporting
