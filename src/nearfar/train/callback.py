"""Callbacks: what a fit reports while it runs, and to whom."""

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
    """What is about to be fitted.

    Args:
        algorithm: its name, as "multvae".
        label: what tables call it, as "MultVAE(epochs=30)".
        settings: of the algorithm, JSON-able, with the values that the data decide.
        seed: of the run.
        n_users: training users.
        n_items: items.
        folder: where the checkpoint goes; None for nowhere.
        resume: whether the fit goes on from a checkpoint in `folder`, if there is one.
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
    """A checkpoint that was written: the file, and the epoch and step (of all) it stands at."""

    path: Path
    epoch: int
    step: int


@dataclass(frozen=True)
class EndReport:
    """How a fit ended.

    Args:
        state: "finished"; "interrupted" by Ctrl-C or SIGTERM; or "failed".
        reason: the error, where there was one.
        n_epochs: epochs of the run, those before a checkpoint included.
        best: the record of the epoch whose weights were kept; None without epochs.
    """

    state: State
    reason: str | None
    n_epochs: int
    best: EpochRecord | None


class Callback:
    """Receives the events of a fit; override those that you need.

    Events come in this order, to each callback of `Run(callbacks=[...])` in its order:

    1. `start`: once per `Algorithm.fit`.
    2. `part`: before each part of a blend, whose own events from `start` to `end` follow, and
       before each network of an algorithm that tries several.
    3. `step` after every training step, `epoch` after every epoch with its validation, and
       `checkpoint` after every checkpoint. Closed forms have none of these, alternating least
       squares has steps only, and a training on several workers has epochs only.
    4. `end`: once, however the fit ends, unless the process is killed.
    5. `measured`: what a command, the tuner, the autopilot or the pipeline measured of the fitted
       model on held-out users.

    An exception that a callback raises ends the fit.

    Examples:
        >>> class Printing(nf.Callback):
        ...     def epoch(self, record):
        ...         print("epoch", record.epoch + 1, "of the training")
        >>> told = nf.Run(seed=1, callbacks=[Printing()])
        >>> model = nf.MultVAE(epochs=1, **small).fit(split.train, split.validation, run=told)
        epoch 1 of the training
    """

    def start(self, report: StartReport, /) -> None:
        """A fit starts."""

    def part(self, name: str, /) -> None:
        """A part of a blend, or a network of several, is fitted from here on."""

    def step(self, report: StepReport, /) -> None:
        """A step ended."""

    def epoch(self, record: EpochRecord, /) -> None:
        """An epoch ended, validation included."""

    def checkpoint(self, report: CheckpointReport, /) -> None:
        """A checkpoint was written."""

    def end(self, report: EndReport, /) -> None:
        """The fit ended."""

    def warn(self, text: str, /) -> None:
        """Something is not as the caller may expect, as weights that are not used.

        Where no callback overrides this, it is a Python warning.
        """

    def measured(self, metrics: Mapping[str, float], /) -> None:
        """The fitted model was measured: printed form of a metric -> mean over held-out users."""


@contextmanager
def reported(callbacks: Sequence[Callback], history: History, start: StartReport) -> Iterator[None]:
    """Report the start of a fit, and its end however the block ends."""
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
    """Report what was measured of a fitted model."""
    for callback in callbacks:
        callback.measured({str(metric): value for metric, value in metrics.items()})


def report_warning(callbacks: Sequence[Callback], text: str, stacklevel: int = 2) -> None:
    """Give a warning to the callbacks that override `warn`; without any it is a Python warning."""
    told = [callback for callback in callbacks if type(callback).warn is not Callback.warn]
    for callback in told:
        callback.warn(text)
    if not told:
        warnings.warn(text, stacklevel=stacklevel + 1)


Reporting = Callable[[str], AbstractContextManager[tuple[Callback, ...]]]
"""Given what is being fitted, the callbacks that receive its events until the block ends."""


@contextmanager
def silent(title: str) -> Iterator[tuple[Callback, ...]]:
    """No callbacks for any training."""
    yield ()
