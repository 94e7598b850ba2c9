"""Write the first settings of a pipeline: the template with the user's source, sink and titles."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.jobs.job import Say
from nearfar.jobs.pipeline import Pipeline, make_pipeline
from nearfar.jobs.template import HEAD, ITEMS, REST, SINK, SOURCE
from nearfar.jobs.window import window_of
from nearfar.store.contracts import BrokenContractError
from nearfar.tables.columnar import PARQUET
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import EVENT_ROLES, OPTIONS, PLAIN_ROLES, title_columns
from nearfar.tables.sqlite import is_sqlite, table_names


def first_settings(
    folder: Path,
    *,
    source: str | None = None,
    table: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    sink: str | None = None,
    items: Path | None = None,
    as_of: date,
    say: Say = lambda text: None,
) -> str:
    """Return commented settings filled in from the arguments, after reading the events once.

    Args:
        folder: folder of the settings; relative paths in them start there.
        source: file or folder of events, or a database URL; None keeps the example's.
        table: table of the database.
        columns: column names by role, for the roles whose column is known.
        sink: folder or database URL.
        items: file of titles.
        as_of: last day of the events to read.
        say: receives a line for what was read and for what the contract would refuse.

    Raises:
        DataError: the source or the titles cannot be read, or lack a column.
        SettingsError: a setting is wrong.
    """
    parts = [HEAD, SOURCE, SINK, ITEMS, REST]
    named_columns = {role: name for role, name in (columns or {}).items() if name is not None}
    if source is not None:
        parts[1] = _section("source", _source(source, table, folder), named_columns)
    elif table is not None or named_columns:
        raise SettingsError("a table or columns are given without their source; add --source")
    if sink is not None:
        if "://" in sink:
            sink_settings = {"kind": "sql", "url": sink}
        else:
            sink_settings = {"kind": "parquet", "path": _relative(sink, folder)}
        parts[2] = _section("sink", sink_settings)
    if items is not None:
        parts[3] = _section("items", {"path": _relative(str(items), folder)})
    pipeline = make_pipeline(tomllib.loads("".join(parts)), folder)
    if items is not None and pipeline.items is not None:
        details = pipeline.items.read_and_tell(say)
        n_titled = details.filter(pl.col("title").is_not_null())["item"].n_unique()
        say(f"{items}: titles of {n_titled:,} items")
    if source is not None:
        roles = _read_columns(pipeline, as_of, say, source, items)
        if "weight" in roles and "weight" not in named_columns:
            parts[4] = _without_weights(parts[4], roles["weight"], say)
        unused = {role: name for role, name in named_columns.items() if name == ""}
        read = {role: column for role, column in roles.items() if role in OPTIONS}
        parts[1] = _section("source", _source(source, table, folder), {**read, **unused})
    return "".join(parts)


def _source(text: str, table: str | None, folder: Path) -> dict[str, str]:
    """Return the settings of a source, its kind recognised from the text and the file."""
    if "://" in text and not text.startswith(("sqlite:", "postgres", "mysql", "duckdb")):
        return {"kind": "parquet", "path": text}
    if "://" in text:
        if table is None:
            raise SettingsError(f"{text.partition('://')[0]} is a database; name its --table")
        return {"kind": "sql", "url": text, "table": table}
    files = RawFiles(text)
    if is_sqlite(files):
        names = table_names(files.path)
        if table is None and len(names) != 1:
            raise SettingsError(f"{text} has the tables {', '.join(names)}; name one with --table")
        url = f"sqlite:///{_relative(text, folder)}"
        return {"kind": "sql", "url": url, "table": table or names[0]}
    kind = "parquet" if files.find_all(PARQUET) else "csv"
    return {"kind": kind, "path": _relative(text, folder)}


def _read_columns(
    pipeline: Pipeline, as_of: date, say: Say, source: str, items: Path | None
) -> dict[str, str]:
    """Read the window once, report on it and return the column of each role."""
    since, until = window_of(as_of, pipeline.train.window_days)
    report = ReadReport()
    events = pipeline.source.read(since, until, report)
    roles = {
        role.name: report.columns[role.name]
        for role in (*EVENT_ROLES, *PLAIN_ROLES)
        if role.name in report.columns
    }
    say("columns: " + ", ".join(f"{role} = {column}" for role, column in roles.items()))
    unused = report.unused_columns
    titles = title_columns(unused)
    if items is not None and items == Path(source):
        unused = [column for column in unused if column not in titles]
    if unused:
        say("columns not used: " + ", ".join(unused))
    if titles and items is None and Path(source).is_file():
        say(f"to use {titles[0]!r} as titles: --items {source}")
    for line in report.losses():
        say(line)
    n_timeless = events["timestamp"].null_count()
    if n_timeless == events.height:
        timeless = f" (rows without a readable time: {n_timeless:,})" if n_timeless else ""
        raise DataError(
            f"no event lies from {since} to {as_of} (UTC){timeless}; set --as-of to the last day "
            f"with events, or name the column of times with {OPTIONS['timestamp']}"
        )
    try:
        checked = pipeline.contract.check(events, since, until)
    except BrokenContractError as error:
        say(f"a run would stop: {error}")
        return roles
    last = checked.events["timestamp"].max()
    say(
        f"{checked.events.height:,} events of {checked.events['user'].n_unique():,} users and "
        f"{checked.events['item'].n_unique():,} items from {since} to {as_of}, the last at {last}"
    )
    for reason, n in checked.report.rejected.items():
        say(f"left out: {n:,} events: {reason}")
    return roles


def _without_weights(sections: str, column: str, say: Say) -> str:
    """Return the last sections with `weights = "none"`, as `train` treats an unnamed column."""
    say(
        f"the weights in {column!r} are not used in training, where all interactions count alike; "
        'train.weights = "linear" or "log" uses them'
    )
    example, setting = (
        '## weights = "linear"               ',
        'weights = "none"                    ',
    )
    return sections.replace(f"{example} # or log, none:", f"{setting} # or linear, log:")


def _relative(path: str, folder: Path) -> str:
    """Return a path as settings in `folder` write it."""
    return path if Path(path).is_absolute() else os.path.relpath(path, folder or ".")


def _section(name: str, values: Mapping[str, str], columns: Mapping[str, str] | None = None) -> str:
    lines = [f"[{name}]", *(f"{key} = {_quoted(value)}" for key, value in values.items())]
    if columns:
        pairs = ", ".join(f"{role} = {_quoted(column)}" for role, column in columns.items())
        lines.append(f"columns = {{ {pairs} }}")
    return "\n".join(lines) + "\n\n"


def _quoted(text: str) -> str:
    """Return a TOML string; TOML accepts JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
