"""Progress of training: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from nearfar.cli.output import Output
from nearfar.train.history import EpochRecord, StepReport

LINE_SECONDS = 10.0
SHORT = {"reconstruction": "nll", "kl": "KL", "alignment": "A"}
"""Names that leave the rest of a line of 80 characters room."""


class TrainingProgress:
    """A reporter for `Run`; use it as a context.

    Elsewhere than on a terminal it prints at most a line every ten seconds.
    """

    def __init__(self, output: Output, name: str) -> None:
        self.output = output
        self.name = name
        self.live = output.stderr.is_terminal and not output.quiet
        self.last_line = time.monotonic()
        self.best = ""
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.state = self.short = self.short_best = ""
        self.warned: set[str] = set()

    def __enter__(self) -> TrainingProgress:
        if self.live:
            self.bar = Progress(
                TextColumn("{task.description}", table_column=Column(no_wrap=True)),
                BarColumn(bar_width=None, table_column=Column(min_width=6, max_width=24, ratio=1)),
                TextColumn("epoch"),
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TimeRemainingColumn(compact=True),
                TextColumn("{task.fields[state]}", table_column=Column(ratio=4, no_wrap=True)),
                console=self.output.stderr,
                transient=True,
                expand=True,
            )
            self.bar.start()
            self.task = self.bar.add_task(self.name, total=None, state="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def part(self, name: str, /) -> None:
        """Name the part that is fitted; its best score is not that of the part before."""
        self.name = name
        self.best = self.state = self.short = self.short_best = ""
        if self.bar is not None and self.task is not None:
            self.bar.reset(self.task, total=None, description=name, state="")
        else:
            self.output.remark(f"fitting {name}")

    def warn(self, text: str, /) -> None:
        """Print a warning, each once."""
        if text not in self.warned:
            self.warned.add(text)
            self.output.warning(text)

    def step(self, report: StepReport, /) -> None:
        if self.bar is None or self.task is None:
            return
        terms = " ".join(
            f"{SHORT.get(name, name)} {value:.3g}" for name, value in report.terms.items()
        )
        self.bar.update(
            self.task,
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
