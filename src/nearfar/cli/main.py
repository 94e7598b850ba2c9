"""The `nearfar` program: its commands, and what becomes of errors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console

from nearfar._version import __version__
from nearfar.core.errors import NearfarError

app = typer.Typer(
    name="nearfar",
    help="Recommend from implicit feedback with variational autoencoders.\n\n"
    "Start with `nearfar demo`. A run goes: data split, train, compare, recommend.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"nearfar {__version__}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def _add_commands() -> None:
    from nearfar.cli import data, demo, measure, recommend, train

    app.command("demo")(demo.demo)
    app.add_typer(data.app, name="data")
    app.command("train")(train.train)
    app.command("evaluate")(measure.evaluate)
    app.command("compare")(measure.compare)
    app.command("recommend")(recommend.recommend)


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code is 0 for done, 1 for failed, 2 for wrong usage."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    debug = "--debug" in arguments
    try:
        if not app.registered_commands:
            _add_commands()
        app(args=list(arguments), prog_name="nearfar")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except (NearfarError, OSError, MemoryError) as error:
        if debug:
            raise
        told = str(error) or type(error).__name__
        errors.print(f"nearfar: {told}", style="red", markup=False)
        return 1
    return 0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
