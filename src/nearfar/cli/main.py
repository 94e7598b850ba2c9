"""The `nearfar` program: its commands, and what becomes of errors."""

from __future__ import annotations

import contextlib
import site
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nearfar._version import __version__
from nearfar.cli.commands import LazyCommands
from nearfar.cli.exit_codes import INTERRUPTED
from nearfar.core.errors import NearfarError, StoppedError
from nearfar.core.interactive import progress_shown_otherwise

app = typer.Typer(
    name="nearfar",
    cls=LazyCommands,
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


def run(arguments: Sequence[str]) -> int:
    """Run one command line; 0 for done, 1 for failed, 2 for wrong usage, 130 for Ctrl-C."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    debug = "--debug" in arguments
    try:
        with progress_shown_otherwise(), _warnings(errors, debug=debug):
            app(args=list(arguments), prog_name="nearfar")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        from nearfar.core.secrets import masked

        own = _outside_nearfar(error)
        if own:
            errors.print(masked("".join(own).rstrip()), markup=False)
        errors.print(f"nearfar: {masked(_told(error, own=bool(own)))}", style="red", markup=False)
        return INTERRUPTED if isinstance(error, StoppedError) else 1
    return 0


def _warnings(errors: Console, *, debug: bool) -> contextlib.AbstractContextManager[None]:
    """Warnings as lines; with --debug as Python prints them, with the line they came from."""
    return contextlib.nullcontext() if debug else warnings_as_lines(errors)


@contextlib.contextmanager
def warnings_as_lines(console: Console) -> Iterator[None]:
    """Print each warning once as a line while the block runs.

    Args:
        console: where to.
    """
    before = warnings.showwarning
    printed: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in printed:
            printed.add(text)
            console.print(f"warning: {text}", style="yellow", markup=False)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def _outside_nearfar(error: Exception) -> list[str]:
    """The traceback of an error in code that a user plugged in; empty for any other error."""
    if isinstance(error, NearfarError):
        return []
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(__file__).parents[1])
    inside = [at for at, frame in enumerate(frames) if frame.filename.startswith(package)]
    below = frames[inside[-1] + 1 :] if inside else frames
    libraries = (sysconfig.get_path("stdlib"), *site.getsitepackages(), "<frozen")
    if isinstance(error, SyntaxError) and error.filename is not None:
        # The file that cannot be parsed has no frame; the error itself names its line.
        known = error.filename.startswith((package, *libraries))
        return [] if known else traceback.format_exception_only(error)[:-1]
    if all(frame.filename.startswith(libraries) for frame in below):
        return []
    return ["Traceback (most recent call last):\n", *traceback.format_list(below)]


def _told(error: Exception, *, own: bool = False) -> str:
    """One line on what went wrong; what was not foreseen says how to learn more."""
    if isinstance(error, NearfarError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this"
    text = " ".join(str(error).split())
    if own:
        return f"{type(error).__name__} in code outside nearfar, shown above: {text}"
    return f"unexpected {type(error).__name__}: {text} (--debug shows where; please report it)"


def main() -> None:
    """The console script."""
    sys.path.append(str(Path.cwd()))  # so that mine.MyMetric in this folder is found
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
