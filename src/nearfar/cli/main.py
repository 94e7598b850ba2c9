"""The `nearfar` program: runs its commands and prints errors."""

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
    """Run a command line; return 0 if done, 1 if failed, 2 for wrong usage, 130 after Ctrl-C."""
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

        user_traceback = _user_code_traceback(error)
        if user_traceback:
            errors.print(masked("".join(user_traceback).rstrip()), markup=False)
        message = masked(_message(error, in_user_code=bool(user_traceback)))
        errors.print(f"nearfar: {message}", style="red", markup=False)
        return INTERRUPTED if isinstance(error, StoppedError) else 1
    return 0


def _warnings(errors: Console, *, debug: bool) -> contextlib.AbstractContextManager[None]:
    """Print warnings as lines; with --debug as Python does, with the line of code."""
    return contextlib.nullcontext() if debug else warnings_as_lines(errors)


@contextlib.contextmanager
def warnings_as_lines(console: Console) -> Iterator[None]:
    """Print each warning once, as a line on a console, while the block runs."""
    previous = warnings.showwarning
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
        warnings.showwarning = previous


def _user_code_traceback(error: Exception) -> list[str]:
    """Return the traceback of an error in a user's own code, or an empty list."""
    if isinstance(error, NearfarError):
        return []
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(__file__).parents[1])
    inside = [i for i, frame in enumerate(frames) if frame.filename.startswith(package)]
    below = frames[inside[-1] + 1 :] if inside else frames
    libraries = (sysconfig.get_path("stdlib"), *site.getsitepackages(), "<frozen")
    if isinstance(error, SyntaxError) and error.filename is not None:
        # The file that cannot be parsed has no frame; the error itself names its line.
        is_user_code = not error.filename.startswith((package, *libraries))
        return traceback.format_exception_only(error)[:-1] if is_user_code else []
    if all(frame.filename.startswith(libraries) for frame in below):
        return []
    return ["Traceback (most recent call last):\n", *traceback.format_list(below)]


def _message(error: Exception, *, in_user_code: bool) -> str:
    """Return one line about an error; for an unexpected one it says how to learn more."""
    if isinstance(error, NearfarError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this"
    text = " ".join(str(error).split())
    if in_user_code:
        return f"{type(error).__name__} in code outside nearfar, shown above: {text}"
    return f"unexpected {type(error).__name__}: {text} (--debug shows where; please report it)"


def main() -> None:
    """Run the console script."""
    sys.path.append(str(Path.cwd()))  # dotted paths may name modules in the working directory
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
