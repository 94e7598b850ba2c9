"""Choose the tables of a folder, archive or database that make one log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import PurePosixPath

from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.tables.columnar import COLUMNAR
from nearfar.tables.columns import AmbiguousColumnError, resolve
from nearfar.tables.item_lists import ItemListsError
from nearfar.tables.json_files import JSON_LINES, json_files_of_one_object, json_files_of_rows
from nearfar.tables.names import plain_name
from nearfar.tables.partitions import partitioned
from nearfar.tables.raw import SAMPLE_BYTES, RawFiles
from nearfar.tables.reader import TableReader
from nearfar.tables.roles import ITEM_ROLES, Role
from nearfar.tables.sqlite import SQLiteTable, is_sqlite, table_names, view_names
from nearfar.tables.table import TEXT, ReadOptions, open_table

CHUNK_BYTES = 1 << 20
PACKED = r"\.(?:zst|lz4|snappy|lzo|br|Z)"


def open_tables(
    files: RawFiles,
    roles: Sequence[Role],
    given: Mapping[str, str | None],
    options: ReadOptions,
) -> tuple[list[TableReader], list[str]]:
    """Return the tables at a path that make one log, sorted by name, and the unused files.

    A folder or archive may have one log in several parts with the same columns, as Spark and Polars
    write it. Other tables in it, such as films beside ratings, lack a required role and are not
    used.

    Raises:
        DataError: there is no table, or several tables that are not parts of one log.
        SchemaError: no table has the required roles.
    """
    if is_sqlite(files):
        every = table_names(files.path)
        names = [n for n in every if options.table in (None, n)]
        if not names:
            raise DataError(
                f"{files.path} is an SQLite database without the table {options.table}; it has "
                f"{_listed(every) or 'none'}"
            )
        tables: list[tuple[str, TableReader]] = [(n, SQLiteTable(files.path, n)) for n in names]
    else:
        every = files.names
        names = _table_names(files, options.table)
        tables = _opened(files, names, options)
    if len(names) > 1:
        fitting = [(n, t) for n, t in tables if _fits(t, roles, given)]
        if not fitting:
            raise SchemaError(
                f"{files.path} has {len(names)} tables ({_listed(names)}), none with columns "
                f"known as {' and '.join(r.name for r in roles if r.required)}; name the columns, "
                "or the table with --table"
            )
        if is_sqlite(files) and len(fitting) > 1:
            # Rows of a view are rows of tables, so they would count twice.
            views = view_names(files.path)
            fitting = [(n, t) for n, t in fitting if n not in views] or fitting
        for name, table in tables:
            same_kind = PurePosixPath(name).suffix == PurePosixPath(fitting[0][0]).suffix
            if (
                (name, table) not in fitting
                and same_kind
                and _lacks_a_header(table, fitting[0][1], roles)
            ):
                raise DataError(
                    f"{files.path}: {name} has as many columns as {fitting[0][0]}, but no header; "
                    "if no part has a header, set --no-header and name the columns (column_1, "
                    "...), else name the tables to read with --table"
                )
        tables = fitting
    first = tables[0][1]
    series = len({re.sub(r"[\d_-]+", "#", name) for name, _ in tables}) == 1
    for name, table in tables[1:]:
        same = sorted(table.columns) == sorted(first.columns)
        if not same and not (series and _same_roles(first, table, roles, given)):
            raise DataError(
                f"{files.path} has {len(tables)} tables with different columns "
                f"({_listed([n for n, _ in tables])}): {tables[0][0]} has "
                f"{', '.join(first.columns)}, but {name} has {', '.join(table.columns)}; "
                "name the one to read with --table"
            )
    used = {name for name, _ in tables}
    return [table for _, table in tables], [name for name in every if name not in used]


def remark_on_copies(
    files: RawFiles, skipped: Sequence[str], options: ReadOptions | None = None
) -> str:
    """Return a remark on files of a folder or archive that seem to be copies; "" for none.

    Equal files may be copies, or days with the same events, so none is left out. The content is
    compared after decompression. Copies in another format are found by their names only. Files
    without rows, such as empty parts, are not copies.

    Args:
        files: the folder or archive.
        skipped: the files that are not read.
        options: how the files are read.
    """
    if files.kind == "file":
        return ""
    names = [name for name in files_of_tables(files) if name not in skipped]
    if len(names) < 2:
        return ""
    original_of: dict[str, str] = {}
    without_rows: set[str] = set()
    with files.kept_open():
        for group in _groups(names, lambda name: _digest(files, name, SAMPLE_BYTES)):
            for copies in _groups(group, lambda name: _digest(files, name)):
                if _has_rows(files, copies[0], options or ReadOptions()):
                    original_of |= dict.fromkeys(copies[1:], copies[0])
                else:
                    without_rows |= set(copies)
    same_content = [f"{name} and {other}" for name, other in original_of.items()]
    remarks = [f"files with the same content: {_listed(same_content)}"] if same_content else []
    same_name = [
        f"{name} and {group[0]}"
        for group in _groups([n for n in names if n not in {*original_of, *without_rows}], _stem)
        for name in group[1:]
    ]
    remarks += [f"files with the same name: {_listed(same_name)}"] if same_name else []
    return "; ".join([*remarks, "remove copies, because all events count"] if remarks else [])


def _groups(names: Sequence[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Return the groups of several names with the same key; names with the key None are skipped."""
    by_key: dict[Hashable, list[str]] = {}
    for name in names:
        if (value := key(name)) is not None:
            by_key.setdefault(value, []).append(name)
    return [group for group in by_key.values() if len(group) > 1]


def _digest(files: RawFiles, name: str, most: int | None = None) -> bytes | None:
    """Return the checksum of a file's content, or of its first bytes; None for an empty file."""
    checksum, n_left = hashlib.sha256(), most
    n_bytes = 0
    with files.open(name) as stream:
        while piece := stream.read(CHUNK_BYTES if n_left is None else min(n_left, CHUNK_BYTES)):
            checksum.update(piece)
            n_bytes += len(piece)
            n_left = None if n_left is None else n_left - len(piece)
    return checksum.digest() if n_bytes else None


def _has_rows(files: RawFiles, name: str, options: ReadOptions) -> bool:
    """Return whether a file has rows; also True if it cannot be read as a table."""
    try:
        table = open_table(files, name, options)
        return any(frame.height for frame, _ in table.blocks(table.columns[:1]))
    except DataError:
        return True


def _stem(name: str) -> str:
    """Return a file's path without the suffixes of its format and compression."""
    return re.sub(
        r"(?i)(?:\.(?:gz|bz2|xz|csv|tsv|txt|tab|dat|json|jsonl|ndjson|parquet|pq))+$", "", name
    )


def files_of_tables(files: RawFiles) -> list[str]:
    """Return a file alone, or those whose names say that they are tables, sorted.

    These include .json files of rows. If there are none, return .json files that hold a table in
    one object, else .data files, else the files without a suffix, as parts often are.
    """
    if files.kind == "file":
        return files.names
    names = sorted(
        {n for kind in (TEXT, COLUMNAR, JSON_LINES) for n in files.find_all(kind)}
        | set(json_files_of_rows(files))
    )
    names = names or json_files_of_one_object(files) or sorted(files.find_all(r".*\.data"))
    return names or [n for n in files.names if "." not in PurePosixPath(n).name]


def _table_names(files: RawFiles, pattern: str | None) -> list[str]:
    if pattern is not None:
        matches = [n for n in files.names if PurePosixPath(n).match(pattern) or n == pattern]
        if not matches:
            raise DataError(f"{files.path} has no file {pattern}; it has {_listed(files.names)}")
        return matches
    names = files_of_tables(files)
    unsupported = [n for n in files.names if re.fullmatch(f"(?:{TEXT}|{COLUMNAR}){PACKED}", n)]
    if unsupported and files.kind != "file":
        raise DataError(
            f"{files.path} has {unsupported[0]}, whose compression is not supported; decompress "
            "it, or name the files to read with --table"
        )
    if not names:
        raise DataError(
            f"{files.path} has no table (it has {_listed(files.names) or 'no files'}); CSV, TSV, "
            "text, JSON lines or Parquet files were expected"
        )
    return names


def _opened(
    files: RawFiles, names: Sequence[str], options: ReadOptions
) -> list[tuple[str, TableReader]]:
    """Open the tables with these names; of several, skip empty files and files of no table."""
    tables = []
    for name in names:
        try:
            tables.append((name, partitioned(open_table(files, name, options), name)))
        except (EmptyDataError, ItemListsError):
            if len(names) == 1:
                raise
        except DataError:
            if len(names) == 1 or not name.lower().endswith(".txt"):
                raise
    if not tables:
        raise EmptyDataError(f"{files.path} has {len(names)} tables, all of them empty")
    return tables


def _lacks_a_header(table: TableReader, other: TableReader, roles: Sequence[Role]) -> bool:
    """Return whether a table has as many columns as another, but no usual column name."""
    usual_names = {name for role in (*roles, *ITEM_ROLES) for name in role.names}
    unnamed = not usual_names & {plain_name(column) for column in table.columns}
    return not table.typed and unnamed and len(table.columns) == len(other.columns)


def _same_roles(
    first: TableReader, second: TableReader, roles: Sequence[Role], given: Mapping[str, str | None]
) -> bool:
    """Return whether two tables have the same roles, with names equal but for signs and case."""
    resolved = [resolve(table.columns, table.where, roles, given) for table in (first, second)]
    names = [{role: plain_name(c) for role, c in columns.items()} for columns in resolved]
    return names[0] == names[1]


def _fits(table: TableReader, roles: Sequence[Role], given: Mapping[str, str | None]) -> bool:
    try:
        resolve(table.columns, table.where, roles, given)
    except AmbiguousColumnError:
        return True
    except SchemaError:
        return False
    return True


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
