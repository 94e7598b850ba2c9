"""Callbacks, which receive the events of a fit while it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nearfar.core.errors import StoppedError
from nearfar.train.history import EpochRecord, History, StepReport

State = Literal["finished", "interrupted", "failed"]


@dataclass(frozen=True)
class StartReport:
    """What a fit is about to train.

    Args:
        algorithm: name of the algorithm, as "multvae".
        label: its name in tables, as "MultVAE(epochs=30)".
        settings: of the algorithm, JSON-able; defaults that depend on the data are filled in.
        seed: random seed of the run.
        n_users: training users.
        n_items: items.
        folder: folder of the checkpoint; None writes no checkpoint.
        resume: whether the fit continues from a checkpoint in `folder`, if there is one.
    """

    algorithm: str
    label: str
    settings: Mapping[str, Any]
    seed: int
    n_users: int
    n_items: int
    folder: Path | None
    resume: bool


@dataclass(frozen=True)
class CheckpointReport:
    """A checkpoint that was written.

    Args:
        path: the file.
        epoch: the epoch in which a resumed run continues, from 0.
        step: steps done, over all epochs.
    """

    path: Path
    epoch: int
    step: int


@dataclass(frozen=True)
class EndReport:
    """How a fit ended.

    Args:
        state: "finished"; "interrupted" by Ctrl-C or SIGTERM; or "failed".
        reason: the error, if there was one.
        n_epochs: epochs of the run, including those before it was resumed.
        best: the record of the epoch whose weights the model has; None without epochs.
    """

    state: State
    reason: str | None
    n_epochs: int
    best: EpochRecord | None


class Callback:
    """Receives the events of a fit; override the methods that you need.

    Events come in this order, to each callback of `Run(callbacks=[...])` in the order of the list:

    1. `start`: once per `Algorithm.fit`.
    2. `part`: before each part of a blend, whose events from `start` to `end` follow, and before
       each network of an algorithm that tries several.
    3. `step` after every training step, `epoch` after every epoch with its validation, and
       `checkpoint` after every checkpoint. Closed forms have none of these, alternating least
       squares has steps only, and training on several workers has epochs only.
    4. `end`: once, however the fit ends, unless the process is killed.
    5. `measured`: when a command, the tuner, the autopilot or the pipeline has evaluated the
       fitted model on held-out users.

    An exception that a callback raises ends the fit.

    Examples:
        >>> class Printing(nf.Callback):
        ...     def epoch(self, record):
        ...         print("epoch", record.epoch + 1, "of the training")
        >>> run = nf.Run(seed=1, callbacks=[Printing()])
        >>> model = nf.MultVAE(epochs=1, **small).fit(split.train, split.validation, run=run)
        epoch 1 of the training
    """

    def start(self, report: StartReport, /) -> None:
        """A fit starts."""

    def part(self, name: str, /) -> None:
        """The fit of a part of a blend, or of one of several networks, starts."""

    def step(self, report: StepReport, /) -> None:
        """A step ended."""

    def epoch(self, record: EpochRecord, /) -> None:
        """An epoch and its validation ended."""

    def checkpoint(self, report: CheckpointReport, /) -> None:
        """A checkpoint was written."""

    def end(self, report: EndReport, /) -> None:
        """The fit ended."""

    def warn(self, text: str, /) -> None:
        """Something may not be what the caller expects, such as weights that are not used.

        If no callback overrides this, a Python warning is issued.
        """

    def measured(self, metrics: Mapping[str, float], /) -> None:
        """The fitted model was evaluated; `metrics` maps "NDCG@100" to the mean over users."""


@contextmanager
def reported(callbacks: Sequence[Callback], history: History, start: StartReport) -> Iterator[None]:
    """Report the start of a fit on entering, and its end however the block ends."""
    for callback in callbacks:
        callback.start(start)
    state: State = "failed"
    reason: str | None = None
    try:
        yield
        state = "interrupted" if history.interrupted else "finished"
    except BaseException as error:
        if history.interrupted or isinstance(error, KeyboardInterrupt | StoppedError):
            state = "interrupted"
        reason = str(error) or type(error).__name__
        raise
    finally:
        report_end(callbacks, history, state, reason)


def report_end(
    callbacks: Sequence[Callback], history: History, state: State, reason: str | None = None
) -> None:
    """Report the end of a fit."""
    records = history.records
    best = next((r for r in reversed(records) if r.best), None)
    for callback in callbacks:
        callback.end(EndReport(state, reason, len(records), best))


def report_measured(callbacks: Sequence[Callback], metrics: Mapping[Any, float]) -> None:
    """Report metrics of a fitted model."""
    for callback in callbacks:
        callback.measured({str(metric): value for metric, value in metrics.items()})


def report_warning(callbacks: Sequence[Callback], text: str, stacklevel: int = 2) -> None:
    """Send a warning to the callbacks that override `warn`, or else issue a Python warning."""
    receivers = [callback for callback in callbacks if type(callback).warn is not Callback.warn]
    for callback in receivers:
        callback.warn(text)
    if not receivers:
        warnings.warn(text, stacklevel=stacklevel + 1)


Reporting = Callable[[str], AbstractContextManager[tuple[Callback, ...]]]
"""Given a title of the fit, yields the callbacks that receive its events until the block ends."""


@contextmanager
def silent(title: str) -> Iterator[tuple[Callback, ...]]:
    """Yield no callbacks."""
    yield ()
