"""Open a table of any format (text, JSON, Parquet, SQLite, frame) and read its typed rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.clock import Clock
from nearfar.tables.columnar import ColumnarTable, columnar_format
from nearfar.tables.columns import quoted
from nearfar.tables.contradiction_columns import contradiction_roles
from nearfar.tables.dialect import TextOptions
from nearfar.tables.json_files import holds_json
from nearfar.tables.json_table import JsonTable
from nearfar.tables.list_columns import columns_beside_items, columns_by_role
from nearfar.tables.lists import ListCells
from nearfar.tables.moments import with_joined_times
from nearfar.tables.names import SESSIONS, plain_name
from nearfar.tables.nested import unnested
from nearfar.tables.partitions import DAY_OF_FOLDERS
from nearfar.tables.printed import PrintedTable
from nearfar.tables.raw import BLOCK_BYTES, RawFiles
from nearfar.tables.reader import BATCH_ROWS, Numbers, OneTimeTable, TableReader
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS, Role
from nearfar.tables.rows import RowReader, TableRows
from nearfar.tables.rules import RowRules, alternatives, remarks_on_alternatives
from nearfar.tables.sqlite import SQLiteTable, is_sqlite, table_names
from nearfar.tables.streams import MAX_EXPANSION
from nearfar.tables.text_table import TextTable

TEXT = r".*\.(?:csv|tsv|txt|tab|dat|log)"

PARSED_AS: dict[str, type[pl.DataType]] = {"number": pl.Float64, "time": pl.Int64}


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading a table.

    Attributes:
        text: the format of text files.
        rules: the rules for unreadable values.
        table: the file of a folder or archive to read, by its name or a pattern ("part-*.csv"), or
            the table of an SQLite database.
        max_expansion: the largest allowed ratio of decompressed to compressed bytes.
        block_bytes: about how many bytes are parsed at a time.

    Examples:
        >>> from nearfar.tables.table import ReadOptions
        >>> from nearfar.tables.dialect import TextOptions
        >>> n_characters = Path("plays.csv").write_text("user;item\\n1;7\\n")
        >>> nf.read_log("plays.csv", options=ReadOptions(text=TextOptions(separator=";"))).n_events
        1
    """

    text: TextOptions = field(default_factory=TextOptions)
    rules: RowRules = field(default_factory=RowRules)
    table: str | None = None
    max_expansion: int = MAX_EXPANSION
    block_bytes: int = BLOCK_BYTES


class FrameTable(TableReader):
    """A Polars frame. Of a lazy frame only the selected columns are collected.

    Args:
        frame: the rows.
        where: the table's name in messages.
        sliced: collect a lazy frame in slices; only useful if this costs no more than at once.
    """

    def __init__(
        self, frame: pl.DataFrame | pl.LazyFrame, where: str, *, sliced: bool = False
    ) -> None:
        self.where = where
        self._sliced = sliced
        self._frame = frame
        self.schema = frame.collect_schema()
        self.columns = self.schema.names()

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        rows = self._frame.select(selected)
        if isinstance(rows, pl.LazyFrame) and self._sliced:
            n_rows = int(rows.select(pl.len()).collect().item())
            for start in range(0, n_rows, BATCH_ROWS):
                yield rows.slice(start, BATCH_ROWS).collect(), start + 1
            return
        frame = rows.collect() if isinstance(rows, pl.LazyFrame) else rows
        for start in range(0, frame.height, BATCH_ROWS):
            yield frame.slice(start, BATCH_ROWS), start + 1


def open_table(
    files: RawFiles, name: str, options: ReadOptions, *, nested: bool = False
) -> TableReader:
    """Open the table in a file: SQLite, Parquet, Arrow, Avro or JSON by its first bytes, else text.

    Args:
        files, name: the file.
        options: how to read it.
        nested: keep lists and objects in cells, instead of making rows and columns of them.

    Raises:
        DataError: the file is not a table, is damaged or empty, or is a database with several
            tables.
    """
    if is_sqlite(files):
        return SQLiteTable(files.path, _only_table(files, options.table))
    if (columnar := columnar_format(files, name)) is not None:
        typed = ColumnarTable(files, name, columnar)
        return typed if nested else unnested(typed, typed.schema)
    if holds_json(files, name, options.text.encoding):
        json = JsonTable(files, name, options.text.encoding, options.block_bytes)
        return json if nested else unnested(json, json.schema)
    printed = None
    if options.text.separator is None and options.text.header is not False:
        printed = PrintedTable.found(files, name, options.text.encoding)
    table = TextTable.sniffed(printed or files, name, options.text, options.block_bytes)
    if printed is not None:
        table.layout = "printed with ruled lines"
    return table


def _only_table(files: RawFiles, requested: str | None) -> str:
    names = table_names(files.path)
    matches = names if requested is None else [n for n in names if n == requested]
    if len(matches) != 1:
        raise DataError(
            f"{files.path} is an SQLite database with the tables {quoted(names)}; name one of them"
            if names else f"{files.path} is an SQLite database without tables"
        )  # fmt: skip
    return matches[0]


def read_rows(
    tables: Sequence[TableReader],
    roles: Sequence[Role],
    given: Mapping[str, str | None],
    rules: RowRules,
    report: ReadReport,
    *,
    needed: Sequence[str] = (),
    clock: Clock | None = None,
    contradictions: bool = False,
) -> Iterator[TableRows]:
    """Yield the typed rows of tables that make one log.

    Args:
        tables: tables with the same roles.
        roles: the roles to read.
        given: the column names that the caller set, by role.
        rules: the rules for unreadable values.
        report: updated with what is read.
        needed: roles whose values must not be missing.
        clock: the reader of times, if earlier tables of the log share it; None for a new one.
        contradictions: also read columns that may contradict an interaction.

    Raises:
        SchemaError: a column is missing or has a wrong type.
        DataError: a value cannot be read.
    """
    log_clock = clock or Clock(tables[0].where, rules.time_unit, rules.time_format)
    for table in tables:
        columns = columns_by_role(table, roles, given)
        one_time = isinstance(table, OneTimeTable)
        has_times = any(role.name == "timestamp" for role in roles)
        if given.get("timestamp") is None and has_times and not one_time:
            table, columns, remark = with_joined_times(table, columns)
            report.remarks += [remark] if remark else []
        if not one_time:
            log_clock.begin_table()
        if not report.columns:
            _report_columns(report, table, columns)
            report.remarks += remarks_on_alternatives(report.unused_columns, columns, roles, given)
        else:
            _report_differences(report, table, columns)
        numbers = {
            columns[role.name]: PARSED_AS[role.kind]
            for role in roles
            if role.name in columns and role.kind in PARSED_AS
        }
        table_roles = list(roles)
        if contradictions:
            contradicting = contradiction_roles(
                columns_beside_items(table, columns), columns.values()
            )
            columns |= {role.name: column for role, column in contradicting.items()}
            table.tolerate(contradicting.values())
            table_roles += contradicting
        if rules.time_format is not None:
            numbers.pop(columns.get("timestamp", ""), None)
        reader = RowReader(
            table.where, table_roles, columns, rules, report, typed=table.typed,
            decimal_comma=table.decimal_comma, needed=needed, clock=log_clock,
            others=alternatives(report.unused_columns, columns, roles),
        )  # fmt: skip
        lists = None
        if not table.typed and "item" in columns and not rules.literal_ids:
            lists = ListCells(table.where, columns["item"], rules.item_separator)
        for frame, first_row in table.blocks(list(dict.fromkeys(columns.values())), numbers):
            if lists is not None:
                frame = lists.read(frame, first_row)
            report.n_rows += frame.height
            yield reader.read(frame, first_row)
        reader.finish()
        report.remarks += [] if lists is None or not lists.remark else [lists.remark]
        report.remarks += table.remarks
        report.converted.update(table.converted)
    if clock is None:
        report.remarks += log_clock.remarks


def _report_differences(report: ReadReport, table: TableReader, columns: dict[str, str]) -> None:
    """Add the layout and columns of another table of the log to the report, if they differ."""
    differences = [] if table.layout == report.layout else [table.layout or f"{table.kind} table"]
    differences += [
        f"{role}={column}" for role, column in columns.items() if report.columns.get(role) != column
    ]
    if differences:
        report.different_files[table.where] = ", ".join(differences)
    unused = _unused_columns(table, columns)
    report.unused_columns += [c for c in unused if c not in report.unused_columns]


def _unused_columns(table: TableReader, columns: Mapping[str, str]) -> list[str]:
    parts = {part for column in columns.values() for part in (column, *column.split(" + "))}
    return [c for c in table.columns if c not in parts and c != DAY_OF_FOLDERS]


def _report_columns(report: ReadReport, table: TableReader, columns: dict[str, str]) -> None:
    """Add the layout and columns of the first table of a log to the report."""
    report.layout = report.layout or table.layout
    report.columns = dict(columns)
    report.unused_columns = _unused_columns(table, columns)
    user = columns.get("user", "")
    if plain_name(user) in SESSIONS:
        report.remarks.append(
            f"no column is known as the user, so each {user!r} counts as a user; name another "
            f"column with {OPTIONS['user']}"
        )
