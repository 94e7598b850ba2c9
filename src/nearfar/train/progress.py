"""The progress display of a fit: one line that is redrawn, or a line every ten seconds."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TextIO

from nearfar.core.interactive import is_interactive, shows_progress
from nearfar.train.callback import Callback, EndReport, StartReport
from nearfar.train.history import EpochRecord, StepReport
from nearfar.train.run import Run

REDRAW_SECONDS = 0.2
LINE_SECONDS = 10.0
WIDTH = 79


class Progress(Callback):
    """Show the progress of a fit: epoch, best validation score and time.

    On a terminal and in a notebook one line is redrawn, and the last one stays. Elsewhere a line
    is printed every ten seconds. Fits without epochs print nothing.

    A fit in Python adds this callback if standard error is a terminal or a notebook;
    `nf.Run(progress=True)` always adds it, `nf.Run(progress=False)` never.

    Args:
        file: where to write; by default standard error.
        live: whether one line is redrawn; by default on a terminal and in a notebook.

    Examples:
        >>> run = nf.Run(seed=1, callbacks=[nf.Progress()])
        >>> model = nf.MultVAE(epochs=2, **small).fit(split.train, split.validation, run=run)
    """

    def __init__(self, file: TextIO | None = None, *, live: bool | None = None) -> None:
        self.file = sys.stderr if file is None else file
        self.live = is_interactive(self.file) if live is None else live
        self._names: list[str] = []
        self._part = self._best = self._total = self._line = ""
        self._start_time = self._last_redraw = self._last_write = time.monotonic()

    def start(self, report: StartReport, /) -> None:
        self._names.append(report.label.partition("(")[0])
        self._part = self._best = self._total = self._line = ""
        self._start_time = self._last_redraw = self._last_write = time.monotonic()

    def part(self, name: str, /) -> None:
        self._part, self._best, self._total = f", {name}", "", ""

    def step(self, report: StepReport, /) -> None:
        now = time.monotonic()
        self._total = f" of {report.n_epochs}"
        if self.live and now - self._last_redraw >= REDRAW_SECONDS:
            self._show(f"{report.epoch + report.step / report.n_steps:.1f}", now)

    def epoch(self, record: EpochRecord, /) -> None:
        score = next(iter(record.validation.items()), None)
        if record.best and score:
            self._best = f"  best {score[0]} {score[1]:.4f} (epoch {record.epoch + 1})"
        now = time.monotonic()
        if self.live or now - self._last_write >= LINE_SECONDS:
            self._show(str(record.epoch + 1), now)

    def end(self, report: EndReport, /) -> None:
        if self.live and self._line:
            self._show(str(report.n_epochs) if report.n_epochs else "", time.monotonic())
            self.file.write("\n")
            self.file.flush()
        self._line = self._part = ""
        if self._names:
            self._names.pop()

    def _show(self, epoch: str, now: float) -> None:
        name = self._names[-1] if self._names else "fit"
        position = f" epoch {epoch}{self._total}" if epoch else ""
        line = f"{name}{self._part}:{position}{self._best}  {now - self._start_time:.0f} s"[:WIDTH]
        start, end = ("\r", "") if self.live else ("", "\n")
        self.file.write(f"{start}{line.ljust(len(self._line) if self.live else 0)}{end}")
        self.file.flush()
        self._line, self._last_redraw, self._last_write = line, now, now


def with_progress(run: Run | None) -> Run | None:
    """Return the run with `Progress` added to its callbacks if progress is to be shown.

    Args:
        run: the argument of `fit`; the result has the same history.
    """
    show = None if run is None else run.progress
    if show is None:
        show = shows_progress()
    callbacks = () if run is None else tuple(run.callbacks)
    if not show or any(isinstance(callback, Progress) for callback in callbacks):
        return run
    return replace(run or Run(), callbacks=(*callbacks, Progress()))
