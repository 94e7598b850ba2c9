"""Progress of the autopilot: one bar over the budget on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from nearfar.cli.output import Output
from nearfar.train.history import EpochRecord, StepReport


class AutopilotProgress:
    """A reporter of steps and epochs, and of the search's own lines; use it as a context.

    Args:
        output: where it goes.
        minutes: the budget.
    """

    def __init__(self, output: Output, minutes: float) -> None:
        self.output = output
        self.seconds = 60 * minutes
        self.live = output.stderr.is_terminal and not output.quiet
        self.started = time.monotonic()
        self.title = ""
        self.state = ""
        self.bar: Progress | None = None
        self.task: TaskID | None = None

    def __enter__(self) -> AutopilotProgress:
        if self.live:
            self.bar = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=24, ratio=1)),
                TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
                TextColumn("{task.fields[state]}", table_column=Column(ratio=4, no_wrap=True)),
                console=self.output.stderr,
                transient=True,
                expand=True,
            )
            self.bar.start()
            self.task = self.bar.add_task("autopilot", total=self.seconds, left="", state="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def say(self, text: str) -> None:
        """Print a line of the search, above the bar where there is one."""
        self.output.remark(text)
        self._update()

    def begin(self, title: str) -> None:
        """Show which family is being fitted."""
        self.title, self.state = title, ""
        self._update()

    def step(self, report: StepReport, /) -> None:
        """Show where a fit stands."""
        self.state = f"epoch {report.epoch + 1} of {report.n_epochs}"
        self._update()

    def epoch(self, record: EpochRecord, /) -> None:
        """Show what the last epoch came to."""
        score = next(iter(record.validation.items()), None)
        if score is not None:
            self.state = f"epoch {record.epoch + 1}, {score[0]} {score[1]:.4f}"
        self._update()

    def _update(self) -> None:
        if self.bar is None or self.task is None:
            return
        done = time.monotonic() - self.started
        left = max(self.seconds - done, 0.0)
        time_left = f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left"
        self.bar.update(
            self.task, completed=min(done, self.seconds), left=time_left,
            description=self.title or "autopilot", state=self.state,
        )  # fmt: skip
