"""Print the output of commands: results on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from nearfar.evaluation.table import Table as EvaluationTable

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass
class Output:
    """Prints the output of one command; each field is an option of every command.

    Args:
        as_json: print one JSON object on stdout, at the end.
        quiet: print only warnings and errors on stderr.
        debug: show the traceback of an error; `nearfar.cli.main` reads the option itself.
    """

    as_json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def __post_init__(self) -> None:
        self.stdout = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.stderr = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        """Print a line about progress, unless --quiet is given."""
        if not self.quiet:
            self.stderr.print(text, markup=False)

    def warning(self, text: str) -> None:
        """Print a warning, also with --quiet."""
        self.stderr.print(f"warning: {text}", style="yellow", markup=False)

    @contextlib.contextmanager
    def counting(self, what: str, unit: str) -> Iterator[Callable[[int], None]]:
        """Count on the terminal while work of unknown length runs; print nothing elsewhere.

        Yields:
            The function that shows a count.
        """
        is_shown = self.stderr.is_terminal and not self.quiet
        columns = (TextColumn("{task.description}"), TextColumn("{task.fields[count]}"))
        with Progress(*columns, TimeElapsedColumn(), console=self.stderr, transient=True,
                      disable=not is_shown) as bar:  # fmt: skip
            task = bar.add_task(what, total=None, count="")
            started = time.monotonic()

            def show_count(n: int) -> None:
                rate = n / max(time.monotonic() - started, 1e-9)
                bar.update(task, count=f"{n:,} {unit}, {rate:,.0f} {unit}/s")

            yield show_count

    def result(self, value: dict[str, Any], *text: Table | str) -> None:
        """Print the result: `value` with --json, otherwise the text and tables."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
            return
        for part in text:
            if isinstance(part, str):
                self.stdout.print(part, markup=False)
            else:
                self.stdout.print(part)


def rich_table(source: EvaluationTable, title: str | None = None, *, left: int = 1) -> Table:
    """Return a table of the evaluation for the terminal, with its notes below."""
    result = table(title, list(source.header), [list(row) for row in source.rows], left=left)
    result.caption = "\n".join(source.notes) or None
    result.caption_justify = "left"
    return result


def table(title: str | None, columns: list[str], rows: list[list[str]], *, left: int = 1) -> Table:
    """Return a table with `left` columns of text, followed by columns of numbers."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        result.add_column(column, justify="left" if i < left else "right", no_wrap=i >= left)
    for row in rows:
        result.add_row(*row)
    return result
