"""What commands print, and where: results on stdout, everything else on stderr."""

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
    from nearfar.evaluation.table import Table as Found

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no remarks.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


@dataclass
class Output:
    """Where one command's output goes; each field is an option of every command.

    Args:
        as_json: stdout gets one JSON object, at the end.
        quiet: stderr gets warnings and errors only.
        debug: an error's traceback is shown; `nearfar.cli.main` reads the option itself.
    """

    as_json: Json = False
    quiet: Quiet = False
    debug: Debug = False

    def __post_init__(self) -> None:
        self.stdout = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self.stderr = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    def remark(self, text: str) -> None:
        """A line for people on how it goes."""
        if not self.quiet:
            self.stderr.print(text, markup=False)

    def warning(self, text: str) -> None:
        """A line that people should not miss; not even --quiet hides it."""
        self.stderr.print(f"warning: {text}", style="yellow", markup=False)

    @contextlib.contextmanager
    def counting(self, what: str, unit: str) -> Iterator[Callable[[int], None]]:
        """A count on the terminal while work of unknown length goes on; silent elsewhere."""
        shown = self.stderr.is_terminal and not self.quiet
        columns = (TextColumn("{task.description}"), TextColumn("{task.fields[told]}"))
        with Progress(*columns, TimeElapsedColumn(), console=self.stderr, transient=True,
                      disable=not shown) as bar:  # fmt: skip
            task = bar.add_task(what, total=None, told="")
            started = time.monotonic()

            def tell(done: int) -> None:
                rate = done / max(time.monotonic() - started, 1e-9)
                bar.update(task, told=f"{done:,} {unit}, {rate:,.0f} {unit}/s")

            yield tell

    def result(self, value: dict[str, Any], *shown: Table | str) -> None:
        """The result: `value` as JSON, or what is shown to people."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
            return
        for part in shown:
            if isinstance(part, str):
                self.stdout.print(part, markup=False)
            else:
                self.stdout.print(part)


def drawn(found: Found, title: str | None = None, *, left: int = 1) -> Table:
    """A table of the evaluation as one of the terminal, its notes below."""
    result = table(title, list(found.header), [list(row) for row in found.rows], left=left)
    result.caption = "\n".join(found.notes) or None
    result.caption_justify = "left"
    return result


def table(title: str | None, columns: list[str], rows: list[list[str]], *, left: int = 1) -> Table:
    """A table whose first `left` columns are text and whose others are numbers."""
    result = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, column in enumerate(columns):
        result.add_column(column, justify="left" if i < left else "right", no_wrap=i >= left)
    for row in rows:
        result.add_row(*row)
    return result
