"""The first settings of a pipeline, filled in with where events, titles and results are."""

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
from nearfar.tables.columns import EVENT_ROLES, OPTIONS, PLAIN_ROLES, title_columns
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
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
    """The commented settings, with what is given filled in and read once.

    Args:
        folder: where the settings will lie; paths in them start there.
        source: a file or folder of events, or a database's URL; None leaves the example's.
        table: of the database.
        columns: names of the events' columns by role, as far as they are given.
        sink: a folder, or a database's URL.
        items: a file of titles.
        as_of: the last day of the events that are looked at.
        say: told what was read, and what of it the contract would refuse.

    Raises:
        DataError: what is given cannot be read, or lacks a column.
        SettingsError: a setting is wrong.
    """
    parts = [HEAD, SOURCE, SINK, ITEMS, REST]
    named = {role: name for role, name in (columns or {}).items() if name is not None}
    if source is not None:
        parts[1] = _section("source", _source(source, table, folder), named)
    elif table is not None or named:
        raise SettingsError("a table and columns are of --source; give it too")
    if sink is not None:
        kind = {"kind": "sql", "url": sink} if "://" in sink else {
            "kind": "parquet", "path": _relative(sink, folder)
        }  # fmt: skip
        parts[2] = _section("sink", kind)
    if items is not None:
        parts[3] = _section("items", {"path": _relative(str(items), folder)})
    pipeline = make_pipeline(tomllib.loads("".join(parts)), folder)
    if items is not None and pipeline.items is not None:
        details = pipeline.items.read_and_tell(say)
        n_titled = details.filter(pl.col("title").is_not_null())["item"].n_unique()
        say(f"{items}: titles of {n_titled:,} items")
    if source is not None:
        roles = _looked_at(pipeline, as_of, say, source, items)
        if "weight" in roles and "weight" not in named:
            parts[4] = _without_weights(parts[4], roles["weight"], say)
        unused = {role: name for role, name in named.items() if name == ""}
        named = {role: column for role, column in roles.items() if role in OPTIONS}
        parts[1] = _section("source", _source(source, table, folder), {**named, **unused})
    return "".join(parts)


def _source(text: str, table: str | None, folder: Path) -> dict[str, str]:
    """The settings of a source, by the look of it."""
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


def _looked_at(
    pipeline: Pipeline, as_of: date, say: Say, source: str, items: Path | None
) -> dict[str, str]:
    """Read the window once and tell of it; returns the column of each role."""
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
    if not events.height:
        raise DataError(
            f"no event lies from {since} to {as_of} (UTC); give --as-of the last day that has any, "
            f"or name the column of times with {OPTIONS['timestamp']}"
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


def _without_weights(rest: str, column: str, say: Say) -> str:
    """The last sections, with weights that nobody asked for left out of training, as in `train`."""
    say(
        f"the weights in {column!r} are not used in training, where all interactions count alike; "
        'train.weights = "linear" or "log" uses them'
    )
    example, chosen = '## weights = "linear"               ', 'weights = "none"                    '
    return rest.replace(f"{example} # or log, none:", f"{chosen} # or linear, log:")


def _relative(path: str, folder: Path) -> str:
    """A path as it is written in settings that lie in a folder."""
    return path if Path(path).is_absolute() else os.path.relpath(path, folder or ".")


def _section(name: str, values: Mapping[str, str], columns: Mapping[str, str] | None = None) -> str:
    lines = [f"[{name}]", *(f"{key} = {_quoted(value)}" for key, value in values.items())]
    if columns:
        pairs = ", ".join(f"{role} = {_quoted(column)}" for role, column in columns.items())
        lines.append(f"columns = {{ {pairs} }}")
    return "\n".join(lines) + "\n\n"


def _quoted(text: str) -> str:
    """Text as TOML has it, which takes JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)
