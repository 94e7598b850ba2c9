"""What long commands say and exit with when they are stopped: why, and how to go on."""

from __future__ import annotations

import shlex
from pathlib import Path

import typer

from nearfar.cli.exit_codes import INTERRUPTED, TERMINATED, UNFINISHED
from nearfar.experiments.stopping import Stop

CODES: dict[Stop, int] = {
    "budget": UNFINISHED,
    "interrupted": INTERRUPTED,
    "terminated": TERMINATED,
}
REASONS: dict[Stop, str] = {
    "budget": "the budget is used up",
    "interrupted": "stopped by hand",
    "terminated": "stopped by SIGTERM",
}


def same_command(ctx: typer.Context) -> str:
    """The command line that was given, to be typed again."""
    words = ["nearfar", ctx.info_name or ""]
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        value = ctx.params[name]
        option = max(parameter.opts, key=len)
        if parameter.param_type_name == "argument":
            words += map(str, value if isinstance(value, list) else [value])
        elif isinstance(value, bool):
            words.append(option)
        else:
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [option, str(each)]
    return shlex.join(words)


def slug(name: str) -> str:
    """A folder's name for a data set: "synthetic:ml-1m,seed=3" as "synthetic-ml-1m-seed-3"."""
    text = Path(name).name or name
    return "-".join("".join(c if c.isalnum() or c in "-._" else " " for c in text).split())
