"""Make, check and open experiment trackers from targets such as "mlflow:mlruns"."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nearfar.core import discovery
from nearfar.train.callback import Callback, Reporting
from nearfar.train.trackers.tracker import PACKAGE, Tracker


def make_tracker(target: str, name: str | None = None, group: str = "") -> Tracker:
    """Return the tracker of a target such as "mlflow:mlruns", "tensorboard:runs" or "wandb".

    Args:
        target: KIND:PLACE; your own tracker has its dotted path as kind, as in
            "their_package.module.Class:PLACE".
        name: name of the tracked runs; by default the algorithm's name in tables.
        group: group of the tracked runs.

    Raises:
        UnknownNameError: there is no tracker of this kind.
        MissingExtraError: the tracker's package is not installed.
        SettingsError: the place is missing.
    """
    kind, _, place = target.partition(":")
    cls: type[Any] = discovery.find(PACKAGE, Tracker, kind.strip())
    return cls(place.strip(), name, group)


def check_targets(targets: Sequence[str]) -> None:
    """Check targets before long work starts; raises what `make_tracker` raises."""
    for target in targets:
        make_tracker(target)


@contextlib.contextmanager
def trackers(
    targets: Sequence[str], name: str | None = None, group: str = ""
) -> Iterator[tuple[Tracker, ...]]:
    """Yield the trackers of the targets and close them when the block ends."""
    with contextlib.ExitStack() as stack:
        yield tuple([stack.enter_context(make_tracker(t, name, group)) for t in targets])


def reporting_to(
    progress: Callable[[str], contextlib.AbstractContextManager[Callback]],
    track: Sequence[str] = (),
    group: str = "",
) -> Reporting:
    """Return a function that opens a progress display and trackers for each training.

    Args:
        progress: given a title, opens a callback that shows progress.
        track: targets of trackers, as "mlflow:mlruns"; each training is a tracked run.
        group: group of the tracked runs.
    """

    @contextlib.contextmanager
    def reporting(title: str) -> Iterator[tuple[Callback, ...]]:
        with progress(title) as display, trackers(track, title, group) as opened:
            yield (display, *opened)

    return reporting
