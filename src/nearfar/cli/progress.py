"""Progress of training: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from typing import Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from nearfar.cli.output import Output
from nearfar.train.callback import Callback
from nearfar.train.history import EpochRecord, StepReport

LINE_SECONDS = 10.0
SHORT = {"reconstruction": "nll", "kl": "KL", "alignment": "A"}
"""Short names of objective terms, so that a line fits 80 characters."""


class LiveBar(Callback):
    """A progress bar on a terminal, and nothing elsewhere; use it as a context manager.

    Args:
        output: where to print.
        name: text before the bar.
        columns: columns between the bar and the state.
        total: value at which the bar is full; None if not known yet.
        fields: initial values of the fields that the columns show.
    """

    def __init__(
        self,
        output: Output,
        name: str,
        *columns: ProgressColumn,
        total: float | None = None,
        **fields: Any,
    ) -> None:
        self.output = output
        self.live = output.stderr.is_terminal and not output.quiet
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=24, ratio=1)),
            *columns,
            TextColumn("{task.fields[state]}", table_column=Column(ratio=4, no_wrap=True)),
            console=output.stderr,
            transient=True,
            expand=True,
            disable=not self.live,
        )
        self._task = self._progress.add_task(name, total=total, state="", **fields)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, **changes: Any) -> None:
        """Update the bar: `completed`, `total`, `description`, `state` or a column's field."""
        self._progress.update(self._task, **changes)

    def begin_again(self, name: str) -> None:
        """Restart the bar and its clock under another name."""
        self._progress.reset(self._task, total=None, description=name, state="")


class TrainingProgress(LiveBar):
    """A callback for `Run` that shows the progress of a fit; use it as a context manager.

    Without a terminal, it prints at most one line every ten seconds.
    """

    def __init__(self, output: Output, name: str) -> None:
        done = MofNCompleteColumn(table_column=Column(no_wrap=True))
        super().__init__(output, name, TextColumn("epoch"), done, TimeRemainingColumn(compact=True))
        self.name = name
        self.last_line = time.monotonic()
        self.best = self.state = self.short = self.short_best = ""
        self.warned: set[str] = set()

    def part(self, name: str, /) -> None:
        """Show the name of the part that is fitted next, and forget the previous part's score."""
        self.name = name
        self.best = self.state = self.short = self.short_best = ""
        if self.live:
            self.begin_again(name)
        else:
            self.output.remark(f"fitting {name}")

    def warn(self, text: str, /) -> None:
        """Print a warning, unless it was printed before."""
        if text not in self.warned:
            self.warned.add(text)
            self.output.warning(text)

    def step(self, report: StepReport, /) -> None:
        if not self.live:
            return
        terms = " ".join(
            f"{SHORT.get(name, name)} {value:.3g}" for name, value in report.terms.items()
        )
        self.show(
            total=report.n_epochs,
            completed=report.epoch + report.step / report.n_steps,
            state=f"{terms} {self.short} {report.users_per_second:,.0f} users/s",
        )

    def epoch(self, record: EpochRecord, /) -> None:
        score = next(iter(record.validation.items()), None)
        if record.best and score:
            self.best = f"best {score[0]} {score[1]:.4f}, epoch {record.epoch + 1}"
            self.short_best = f"best {score[1]:.4f}"
        self.short = f"{self.short_best} collapsed {record.collapsed_dimensions}".strip()
        self.state = f"| {self.best} | collapsed {record.collapsed_dimensions}"
        if self.live or self.output.quiet:
            return
        now = time.monotonic()
        if now - self.last_line < LINE_SECONDS:
            return
        self.last_line = now
        terms = " ".join(f"{name} {value:.4g}" for name, value in record.terms.items())
        self.output.remark(
            f"{self.name}: epoch {record.epoch + 1} {terms} {self.state} "
            f"| {record.users_per_second:,.0f} users/s"
        )
