"""A table with named columns, whatever holds it: text, JSON lines, Parquet, SQLite or a frame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from nearfar.core.errors import DataError
from nearfar.tables.clock import Clock
from nearfar.tables.columnar import ColumnarTable, columnar_format
from nearfar.tables.columns import OPTIONS, Role, quoted, resolve
from nearfar.tables.contradiction_columns import contradiction_roles
from nearfar.tables.dialect import TextOptions
from nearfar.tables.json_lines import JsonLinesTable, holds_json
from nearfar.tables.lists import ListCells
from nearfar.tables.moments import dated
from nearfar.tables.names import SESSIONS, plain_name
from nearfar.tables.nested import unnested
from nearfar.tables.raw import BLOCK_BYTES, RawFiles
from nearfar.tables.reader import BATCH_ROWS, Numbers, OneTimeTable, TableReader
from nearfar.tables.report import ReadReport
from nearfar.tables.rows import RowReader, TableRows
from nearfar.tables.rules import RowRules, others_alike
from nearfar.tables.sqlite import SQLiteTable, is_sqlite, table_names
from nearfar.tables.streams import MAX_EXPANSION
from nearfar.tables.text_table import TextTable

TEXT = r".*\.(?:csv|tsv|txt|tab|dat|log)"

PARSED_AS: dict[str, type[pl.DataType]] = {"number": pl.Float64, "time": pl.Int64}


@dataclass(frozen=True)
class ReadOptions:
    """How to read a table.

    Attributes:
        text: how text files are written.
        rules: what to do with unreadable values.
        table: which file of a folder or archive to read, by its name or a pattern ("part-*.csv"),
            or which table of an SQLite database.
        max_expansion: how many times as long as a compressed file its content may be.
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
    """A Polars frame; of a lazy one only the columns selected are collected.

    Args:
        frame: the rows.
        where: how messages name it.
        sliced: collect a lazy frame in slices; only where that costs no more than once.
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
    """The table in one file: SQLite, Parquet, Arrow, Avro or JSON if it begins so, else text.

    Args:
        files, name: the file.
        options: how to read it.
        nested: leave lists and objects in cells as they are, instead of rows and columns.

    Raises:
        DataError: it is none of these, is damaged or empty, or is a database of several tables.
    """
    if is_sqlite(files):
        return SQLiteTable(files.path, _only_table(files, options.table))
    if (columnar := columnar_format(files, name)) is not None:
        typed = ColumnarTable(files, name, columnar)
        return typed if nested else unnested(typed, typed.schema)
    if holds_json(files, name, options.text.encoding):
        lines = JsonLinesTable(files, name, options.text.encoding, options.block_bytes)
        return lines if nested else unnested(lines, lines.schema)
    return TextTable.sniffed(files, name, options.text, options.block_bytes)


def _only_table(files: RawFiles, wanted: str | None) -> str:
    names = table_names(files.path)
    found = names if wanted is None else [n for n in names if n == wanted]
    if len(found) != 1:
        raise DataError(
            f"{files.path} is an SQLite database with the tables {quoted(names)}; name one of them"
            if names else f"{files.path} is an SQLite database without tables"
        )  # fmt: skip
    return found[0]


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
    """The typed rows of tables that make one log.

    Args:
        tables: with the same columns.
        roles: the roles wanted.
        given: names of columns by role, as far as they are given.
        rules: what to do with unreadable values.
        report: is filled.
        needed: roles whose values must not be missing.
        clock: reads the times in the same way as in tables before; None for a new one.
        contradictions: whether rows have columns that may say the opposite of an interaction too.

    Raises:
        SchemaError: a column is missing or has a wrong type.
        DataError: a value cannot be read.
    """
    of_one_log = clock or Clock(tables[0].where, rules.time_unit, rules.time_format)
    for table in tables:
        columns = resolve(table.columns, table.where, roles, given, of_text=bool(table.layout))
        once = isinstance(table, OneTimeTable)
        if given.get("timestamp") is None and "timestamp" in columns and not once:
            table, columns, remark = dated(table, columns)
            report.remarks += [remark] if remark else []
        if not report.columns:
            _tell_columns(report, table, columns)
            report.remarks += others_alike(report.unused_columns, columns, roles, given)
        else:
            _tell_differences(report, table, columns)
        numbers = {
            columns[role.name]: PARSED_AS[role.kind]
            for role in roles
            if role.name in columns and role.kind in PARSED_AS
        }
        of_table = list(roles)
        if contradictions:
            against = contradiction_roles(table.columns, set(columns.values()), table.listed)
            columns |= {role.name: column for role, column in against.items()}
            table.tolerate(against.values())
            of_table += against
        if rules.time_format is not None:
            numbers.pop(columns.get("timestamp", ""), None)
        reader = RowReader(
            table.where, of_table, columns, rules, report, typed=table.typed,
            decimal_comma=table.decimal_comma, needed=needed, clock=of_one_log,
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
        report.remarks += of_one_log.remarks


def _tell_differences(report: ReadReport, table: TableReader, columns: dict[str, str]) -> None:
    """Add to the report what another table of the log is read as, where that differs."""
    differences = [] if table.layout == report.layout else [table.layout or f"{table.kind} table"]
    differences += [
        f"{role}={column}" for role, column in columns.items() if report.columns.get(role) != column
    ]
    if differences:
        report.different_files[table.where] = ", ".join(differences)
    unused = _unused(table, columns)
    report.unused_columns += [c for c in unused if c not in report.unused_columns]


def _unused(table: TableReader, columns: Mapping[str, str]) -> list[str]:
    parts = {part for used in columns.values() for part in (used, *used.split(" + "))}
    return [column for column in table.columns if column not in parts]


def _tell_columns(report: ReadReport, table: TableReader, columns: dict[str, str]) -> None:
    """Fill the report with what the first table of a log is read as."""
    report.layout = report.layout or table.layout
    report.columns = dict(columns)
    report.unused_columns = _unused(table, columns)
    user = columns.get("user", "")
    if plain_name(user) in SESSIONS:
        report.remarks.append(
            f"no column is known as the user: each {user!r} stands for one; name another with "
            f"{OPTIONS['user']}"
        )
