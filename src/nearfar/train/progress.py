"""Progress of a fit for a person: a line that is redrawn, or a line now and then."""

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

    On a terminal and in a notebook one line is redrawn, and the last state stays. Elsewhere a line
    is printed every ten seconds. Fits without epochs print nothing.

    A fit in Python gets this callback by itself where standard error is a terminal or a notebook;
    `nf.Run(progress=True)` adds it everywhere, `nf.Run(progress=False)` nowhere.

    Args:
        file: where to write; by default standard error.
        live: whether one line is redrawn; by default on a terminal and in a notebook.

    Examples:
        >>> shown = nf.Run(seed=1, callbacks=[nf.Progress()])
        >>> model = nf.MultVAE(epochs=2, **small).fit(split.train, split.validation, run=shown)
    """

    def __init__(self, file: TextIO | None = None, *, live: bool | None = None) -> None:
        self.file = sys.stderr if file is None else file
        self.live = is_interactive(self.file) if live is None else live
        self._names: list[str] = []
        self._part = self._best = self._of = self._line = ""
        self._began = self._last = self._last_line = time.monotonic()

    def start(self, report: StartReport, /) -> None:
        self._names.append(report.label.partition("(")[0])
        self._part = self._best = self._of = self._line = ""
        self._began = self._last = self._last_line = time.monotonic()

    def part(self, name: str, /) -> None:
        self._part, self._best, self._of = f", {name}", "", ""

    def step(self, report: StepReport, /) -> None:
        now = time.monotonic()
        self._of = f" of {report.n_epochs}"
        if self.live and now - self._last >= REDRAW_SECONDS:
            self._show(f"{report.epoch + report.step / report.n_steps:.1f}", now)

    def epoch(self, record: EpochRecord, /) -> None:
        score = next(iter(record.validation.items()), None)
        if record.best and score:
            self._best = f"  best {score[0]} {score[1]:.4f} (epoch {record.epoch + 1})"
        now = time.monotonic()
        if self.live or now - self._last_line >= LINE_SECONDS:
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
        stands = f" epoch {epoch}{self._of}" if epoch else ""
        line = f"{name}{self._part}:{stands}{self._best}  {now - self._began:.0f} s"[:WIDTH]
        start, end = ("\r", "") if self.live else ("", "\n")
        self.file.write(f"{start}{line.ljust(len(self._line) if self.live else 0)}{end}")
        self.file.flush()
        self._line, self._last, self._last_line = line, now, now


def with_progress(run: Run | None) -> Run | None:
    """Return the run with `Progress` among its callbacks, where it is to be shown.

    Args:
        run: as given to `fit`; its history is kept.
    """
    wanted = None if run is None else run.progress
    if wanted is None:
        wanted = shows_progress()
    callbacks = () if run is None else tuple(run.callbacks)
    if not wanted or any(isinstance(each, Progress) for each in callbacks):
        return run
    return replace(run or Run(), callbacks=(*callbacks, Progress()))
