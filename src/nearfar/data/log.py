"""Read a log from files, a data set or data in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import polars as pl

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.core.settings import build
from nearfar.data.events import FilterStep, Log, Unknown
from nearfar.data.fetch import cached
from nearfar.data.filters import Filters
from nearfar.data.sources.source import Source, SourceRequest, chosen_source, detect, generated
from nearfar.data.weighting import Repeats, Scale, Weighting, parse_kinds
from nearfar.tables.columns import Columns
from nearfar.tables.frames import frame_table
from nearfar.tables.item_table import read_item_table, remark_on_repeats
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS
from nearfar.tables.table import ReadOptions, read_rows

__all__ = ["FilterStep", "Log", "Unknown", "detect", "read_log", "read_parts"]


OTHER_NAMES = {
    **{f.name: f"filters=nf.Filters({f.name}=...)" for f in fields(Filters)},
    **{option[2:].replace("-", "_"): f"{role}=..." for role, option in OPTIONS.items()},
    "item_details": "items=...",
}
"""Names that people may try, such as those of the command line, and the names in `read_log`."""


@validate_arguments(OTHER_NAMES)
def read_log(
    source: Any,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    timestamp: str | None = None,
    weight: str | None = None,
    items: pl.DataFrame | str | Path | None = None,
    filters: Filters | Mapping[str, Any] | None = None,
    format: str | Source | type[Source] | None = None,
    name: str | None = None,
    options: ReadOptions | None = None,
    drop_bad_rows: bool = False,
    kind: str | None = None,
    outcome: str | None = None,
    kind_weights: Mapping[str, float] | str | None = None,
    weights: Scale | None = None,
    repeats: Repeats | None = None,
) -> Log:
    """Read a log from a file, folder or archive, a fetched data set, or a table in memory.

    `Log.read` reports what the source was read as and what was left out.

    Args:
        source: a path; the name of a data set in the cache ("ml-100k"); a description of synthetic
            data ("synthetic:ml-20m", see `data.synthetic`); a Polars or pandas frame; or a SciPy
            sparse matrix (ids are row and column numbers; values are ratings unless all are one).
        user, item, rating, timestamp, weight: names of columns; by default found by their usual
            names; "" for a role without a column.
        items: details of items, with a column `item` and "title", "genres" or others; or the path
            of such a table.
        filters: the filters to apply; also a mapping, such as {"min_user": 5}. Ratings and times
            are filtered while reading, so memory is bounded by the kept rows.
        format: the format to read: its name ("ml-1m", "table", a dotted path), or your own
            `Source`; by default inferred from the files.
        name: the log's name in messages.
        options: encoding, separator, header and quoting of text, rules for bad rows, and the file
            of a folder to read.
        drop_bad_rows: leave out up to a tenth of the rows that cannot be read, instead of raising
            an error for the first. `Log.read.left_out` counts them.
        kind, outcome: the columns of kinds of events (view, impression, refund) and of outcomes
            (clicked: 0 or 1), whose rows that are no events are left out; by default found by
            their usual names. "" keeps these rows.
        kind_weights: the weight of each kind in training, such as {"view": 1, "buy": 5} or
            "view=1,buy=5". Events of other kinds are left out and counted.
        weights, repeats: the scale of weights and the rule for repeated events; see `Weighting`.

    `core.identity` defines which ids are equal. Ids of text files become integers if every id of
    the column is an integer, else they stay text, so "007" stays "007". Typed tables keep their
    types. Rows in messages are counted from 1, without the header and blank lines.

    Raises:
        DataError: the data cannot be read. SchemaError and EmptyDataError are subclasses.
        UnknownNameError: the `format` or the shape of synthetic data is unknown.
        SettingsError: the settings of synthetic data or the weights are invalid.

    Examples:
        >>> frame = pl.DataFrame({"user": [1, 1, 2], "song": ["a", "b", "a"]})
        >>> nf.read_log(frame, item="song", name="plays")
        Log plays(3 events, 2 users, 2 items)
        >>> nf.read_log("ratings.csv", filters=nf.Filters(min_rating=4))  # doctest: +SKIP
    """
    kinds = parse_kinds(kind_weights) if isinstance(kind_weights, str) else kind_weights
    weighting = Weighting(kinds, weights, repeats)
    columns = Columns(user, item, rating, timestamp, weight, kind, outcome)
    if isinstance(filters, Mapping):
        filters = build(Filters, filters, "filters")
    row_filters = filters or Filters(merge_duplicates=False)
    options = options or ReadOptions()
    items_report = ReadReport()
    if isinstance(items, str | Path):
        items_report.source = str(items)
        items = read_item_table(items, log_encoding=options.text.encoding, report=items_report)
        items_report.remarks += filter(None, [remark_on_repeats(items)])
    if drop_bad_rows:
        options = replace(options, rules=replace(options.rules, bad_rows="drop"))
    request = SourceRequest(columns, row_filters, items, options, ReadReport(), kinds)
    if isinstance(source, str | Path):
        log = _from_files(source, request, format)
    else:
        log = _from_memory(source, request, name)
    if name is not None:
        log = _named(log, name)
    if log.read is not None:
        log.read.remarks += [f"{items_report.source}: {line}" for line in items_report.losses()]
    _refuse_dates_for_steps(log, row_filters)
    log = _weighted(log, weighting, named=bool(weight))
    return row_filters.beyond_rows.apply(log) if filters is not None else _nonempty(log)


def _weighted(log: Log, weighting: Weighting, *, named: bool) -> Log:
    """Return the log with the scale of its weights and the rule for repeated events."""
    scale = weighting.scale_of(named=named)
    if scale != "none" and not log.has("weight"):
        raise SchemaError(
            f"{log.name} has no column known as the weight; name it with {OPTIONS['weight']}, or "
            "leave out --weights"
        )
    log = replace(log, scale=scale, repeats=weighting.repeats_rule)
    sums_weights = log.weighted and log.repeats == "sum" and log.has("timestamp")
    n_copies = log.n_events - log.events.unique().height if sums_weights else 0
    if n_copies and log.read is not None:
        log.read.remarks.append(
            f"{n_copies:,} events are exact copies of others, with the same time and weight, and "
            "their weights are added; if they were written twice, remove the copies"
        )
    return log


def read_parts(
    source: str | Path, *, format: str | Source | type[Source] | None = None
) -> tuple[Log, Log]:
    """Read the training and the test log of a data set that is published split ("gowalla").

    Raises:
        DataError: the data cannot be read, or are not published split.

    Examples:
        >>> train, test = nf.read_parts("gowalla")  # doctest: +SKIP
    """
    if _generator(source):
        raise DataError(f"{source} is not published split; read it with read_log")
    files = RawFiles(_located(source))
    reader = _reader(files, format)
    parts = reader.parts(files, SourceRequest())
    if parts is None:
        raise DataError(
            f"{files.path} is read as {reader.name}, which is not published split; "
            "read each part with read_log"
        )
    first, second = (_named(p, p.name.replace(":", "/").rpartition("/")[2]) for p in parts)
    return first, second


def _from_files(
    source: str | Path, request: SourceRequest, format: str | Source | type[Source] | None
) -> Log:
    if maker := _generator(source):
        if format not in (None, maker.name):
            raise SettingsError(
                f"{source} is generated, not read as {format}; leave out the format"
            )
        _refuse_columns(str(source), maker, request)
        log = maker.make(str(source).partition(":")[2], request)
        report = ReadReport(str(source), maker.label, n_rows=log.n_events, n_kept=log.n_events)
        return replace(log, read=report)
    files = RawFiles(_located(source), max_expansion=request.options.max_expansion)
    reader = _reader(files, format)
    request.report.source = str(source)
    request.report.format = reader.label
    _refuse_columns(str(files.path), reader, request)
    return _named(reader.read(files, request), files.path.name)


def _from_memory(source: Any, request: SourceRequest, name: str | None) -> Log:
    table = frame_table(source, name)
    request.report.source, request.report.format = table.where, "a table in memory"
    builder = request.builder(table.where, typed=table.typed)
    given: Mapping[str, str | None] = vars(request.columns)
    rules = request.options.rules
    builder.add_all(
        read_rows(
            [table],
            request.roles,
            given,
            rules,
            request.report,
            needed=("user", "item"),
            contradictions=True,
        )
    )
    return builder.log(request.items)


def _refuse_dates_for_steps(log: Log, filters: Filters) -> None:
    """Raise if a time window has dates, but the times only count steps."""
    dates = [w for w in (filters.since, filters.until) if isinstance(w, str)]
    if dates and log.read is not None and log.read.counts_steps:
        raise DataError(
            f"{log.name}: the timestamps are numbers too small for dates, so the window with "
            f"{dates[0]} does not apply; name another column with {OPTIONS['timestamp']}, or "
            "give the window as such numbers"
        )


def _refuse_columns(where: str, reader: Source, request: SourceRequest) -> None:
    if reader.own_columns and request.columns != Columns():
        raise SettingsError(
            f"{where} is read as {reader.name}, whose columns are fixed; leave out the "
            "column names, or read it as a table with --format table"
        )
    if not reader.generic and request.kinds is not None:
        raise SettingsError(
            f"{where} is read as {reader.name}, which has no kinds of events; leave out "
            "--kind-weights, or read it as a table with --format table"
        )
    text = request.options.text
    options = {
        "--table": request.options.table,
        "--separator": text.separator,
        "--no-header": text.header is not None or None,
        "--quoting": None if text.quoting == "auto" else text.quoting,
    }
    given = [option for option, value in options.items() if value is not None]
    if reader.own_columns and given:
        raise SettingsError(
            f"{where} is read as {reader.name}, whose file format is fixed; leave out {given[0]}, "
            "or read it as a table with --format table"
        )


def _named(log: Log, name: str) -> Log:
    return replace(log, name=name)


def _reader(files: RawFiles, format: str | Source | type[Source] | None) -> Source:
    return detect(files) if format is None else chosen_source(format)


def _located(source: str | Path) -> Path:
    path = Path(source)
    if isinstance(source, str) and (source == "-" or "://" in source):
        problem = "standard input" if source == "-" else "a URL"
        raise DataError(f"{source} is {problem}, which cannot be read; save it to a file first")
    if path.exists() or isinstance(source, Path):
        return path
    return cached(source)


def _generator(source: str | Path) -> Source | None:
    """Return the source that generates the named data; None for files and other names."""
    return None if isinstance(source, Path) or Path(source).exists() else generated(source)


def _nonempty(log: Log) -> Log:
    return Filters(merge_duplicates=False).apply(log)
