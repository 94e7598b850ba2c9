"""Exit codes beyond 0 (done), 1 (failed) and 2 (wrong usage), and the command that continues."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from nearfar.experiments.stopping import Stop


UNFINISHED = 3
"""The budget was used up before the work was done; the same command continues."""

REFUSED = 4
"""The gates refused the candidate; the current version stays."""

INTERRUPTED = 130
"""After Ctrl-C, as for any program."""

TERMINATED = 143
"""After SIGTERM, as for any program."""


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
    """Return the current command line, to be run again."""
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
