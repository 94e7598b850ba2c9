"""`nearfar algorithms`."""

from __future__ import annotations

from typing import Annotated

import typer

from nearfar.algorithms.description import describe, describe_all, to_markdown, to_text
from nearfar.cli.options import with_options
from nearfar.cli.output import Output, table


@with_options(without=("quiet",))
def algorithms(
    name: Annotated[
        str | None, typer.Argument(help="Name of the algorithm; without it, all are listed.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print as a Markdown page.")] = False,
    *,
    output: Output,
) -> None:
    """List the algorithms, or describe the settings of one.

    Example: nearfar algorithms multvae. Pass a setting to nearfar train as --set key=value. A part
    that is chosen by name has its own settings: --set encoder=dense --set encoder.layers=3.
    """
    descriptions = describe_all() if name is None else [describe(name)]
    if markdown:
        page = to_markdown(descriptions)
        output.result({"markdown": page}, page.rstrip("\n"))
        return
    if name is None:
        rows = [[d.name, d.summary, ", ".join(d.presets)] for d in descriptions]
        output.result(
            {"algorithms": [d.to_dict() for d in descriptions]},
            table(None, ["algorithm", "what it is", "presets"], rows, left=3),
        )
        return
    (description,) = descriptions
    output.result(description.to_dict(), to_text(description))
