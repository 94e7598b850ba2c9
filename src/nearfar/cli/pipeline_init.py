"""`nearfar pipeline init`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from nearfar.cli.options import with_options
from nearfar.cli.output import Output
from nearfar.cli.pipeline_output import errors_as_json
from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.files import atomic_file
from nearfar.jobs.first_settings import first_settings
from nearfar.jobs.run_due import yesterday
from nearfar.jobs.template import write_shop

AsOf = Annotated[
    str | None,
    typer.Option("--as-of", metavar="DATE", help="The last day of events; by default yesterday."),
]
DEFAULT = Path("pipeline.toml")


@with_options()
def init(
    path: Annotated[Path, typer.Argument(help="The file to write, or its folder.")] = DEFAULT,
    example: Annotated[
        bool,
        typer.Option(
            "--example", help="Also write 14 weeks of events of a synthetic shop beside it."
        ),
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            "--source",
            help="Where events come from: a file or folder (CSV, JSON lines, Parquet, SQLite) or a "
            "database's URL. It is read once, to check it.",
        ),
    ] = None,
    source_table: Annotated[
        str | None, typer.Option("--table", help="The database's table of events.")
    ] = None,
    user: Annotated[str | None, typer.Option("--user-column", help="Of the source.")] = None,
    item: Annotated[str | None, typer.Option("--item-column", help="Of the source.")] = None,
    timestamp: Annotated[str | None, typer.Option("--time-column", help="Of the source.")] = None,
    weight: Annotated[str | None, typer.Option("--weight-column", help="Of the source.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind-column",
            help="The source's column of event kinds; '' keeps impressions and refunds.",
        ),
    ] = None,
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome-column",
            help="The source's column of outcomes; '' keeps rows with outcome 0.",
        ),
    ] = None,
    sink: Annotated[
        str | None,
        typer.Option("--sink", help="Where recommendations go: a folder or a database's URL."),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option("--items", help="A file with a column of items and one of titles."),
    ] = None,
    as_of: AsOf = None,
    *,
    output: Output,
) -> None:
    """Write a commented settings file, for your own events if --source is given.

    nearfar pipeline init shop/pipeline.toml --source orders.csv --items products.csv
    """
    with errors_as_json(output):
        path = path / DEFAULT if path.is_dir() else path
        events = path.parent / "events"
        for new_path in (path, events) if example else (path,):
            if new_path.exists():
                raise ArtefactError(f"{new_path} exists; name another file")
        if example and source is not None:
            raise typer.BadParameter("give either --example or --source")
        columns = {
            "user": user, "item": item, "timestamp": timestamp, "weight": weight, "kind": kind,
            "outcome": outcome,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)  # relative paths are relative to it
        text = first_settings(
            path.parent, source=source, table=source_table, columns=columns, sink=sink,
            items=items, as_of=parse_day(as_of), say=output.remark,
        )  # fmt: skip
        value: dict[str, Any] = {"path": str(path)}
        next_step = f"say in it where events come from, then: nearfar pipeline run -c {path}"
        if source is not None:
            next_step = f"then: nearfar pipeline run -c {path}"
        if example:
            first, last = write_shop(events)
            value |= {"events": str(events), "first_day": str(first), "last_day": str(last)}
            next_step = (
                f"events of a made-up shop, {first} to {last}, are in {events}; "
                f"then: nearfar pipeline run -c {path} --as-of {last}"
            )
        with atomic_file(path, text=True) as file:
            file.write(text)
    output.result(value, f"{path} is written; {next_step}")


def parse_day(text: str | None, option: str = "--as-of") -> date:
    """Return the day of an option, or yesterday (UTC) if it is not given.

    Raises:
        SettingsError: the text is not a date from 1970 to 8999.
    """
    if text is None:
        return yesterday()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise SettingsError(
            f"{option} is {text!r}; a date was expected, such as 2026-08-01"
        ) from None
    if not 1970 <= day.year < 9000:  # windows before and after it must also be valid dates
        raise SettingsError(f"{option} is {text!r}; a date from 1970 to 8999 was expected")
    return day
