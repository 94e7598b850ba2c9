"""Which tables of a folder or archive make one log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import PurePosixPath

from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.tables.columnar import COLUMNAR
from nearfar.tables.columns import ITEM_ROLES, AmbiguousColumnError, Role, resolve
from nearfar.tables.json_lines import JSON_LINES
from nearfar.tables.names import plain_name
from nearfar.tables.partitions import partitioned
from nearfar.tables.raw import SAMPLE_BYTES, RawFiles
from nearfar.tables.reader import TableReader
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
    """The tables at a path that make one log, in the order of their names, and the files left out.

    A folder or archive may hold one log in several parts with the same columns, as Spark and
    Polars write it, beside tables of other kinds (films beside ratings), which lack a required
    role and are left out.

    Raises:
        DataError: there is no table, or several that are not parts of one.
        SchemaError: the only table lacks a required role.
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
                f"{files.path} holds {len(names)} tables ({_listed(names)}), none with columns "
                f"known as {' and '.join(r.name for r in roles if r.required)}; name the columns, "
                "or the table with --table"
            )
        if is_sqlite(files) and len(fitting) > 1:
            # A view shows rows of tables: read beside them, they would count twice.
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
                    "say --no-header and name the columns (column_1, ...) if no part has one, or "
                    "name the tables to read with --table"
                )
        tables = fitting
    first = tables[0][1]
    series = len({re.sub(r"[\d_-]+", "#", name) for name, _ in tables}) == 1
    for name, table in tables[1:]:
        same = sorted(table.columns) == sorted(first.columns)
        if not same and not (series and _same_roles(first, table, roles, given)):
            raise DataError(
                f"{files.path} holds {len(tables)} tables with different columns "
                f"({_listed([n for n, _ in tables])}), of which {tables[0][0]} has "
                f"{', '.join(first.columns)}, and {name} {', '.join(table.columns)}; "
                "name the one to read with --table"
            )
    read = {name for name, _ in tables}
    return [table for _, table in tables], [name for name in every if name not in read]


def remark_on_copies(files: RawFiles, skipped: Sequence[str]) -> str:
    """Name files of a folder or archive that are read and hold what another holds; "" without any.

    They may be copies, or days on which the same happened, so that they are not left out. A file
    may be compressed and another not; files of other formats are told by their names alone.

    Args:
        files: the folder.
        skipped: the files that are not read.
    """
    if files.kind == "file":
        return ""
    names = [name for name in files_of_tables(files) if name not in skipped]
    if len(names) < 2:
        return ""
    alike: dict[str, str] = {}
    with files.kept_open():
        for group in _groups(names, lambda name: _digest(files, name, SAMPLE_BYTES)):
            for copies in _groups(group, lambda name: _digest(files, name)):
                alike |= dict.fromkeys(copies[1:], copies[0])
    same = [f"{name} as {other}" for name, other in alike.items()]
    remarks = [f"the same content: {_listed(same)}"] if same else []
    called = [
        f"{name} as {group[0]}"
        for group in _groups([n for n in names if n not in alike], _stem)
        for name in group[1:]
    ]
    remarks += [f"the same name: {_listed(called)}"] if called else []
    return "; ".join([*remarks, "take copies away, since all events count"] if remarks else [])


def _groups(names: Sequence[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """The names that share their key with another."""
    found: dict[Hashable, list[str]] = {}
    for name in names:
        if (of := key(name)) is not None:
            found.setdefault(of, []).append(name)
    return [group for group in found.values() if len(group) > 1]


def _digest(files: RawFiles, name: str, most: int | None = None) -> bytes | None:
    """The checksum of a file's content, or of its first bytes; None for an empty file."""
    state, left = hashlib.sha256(), most
    n_bytes = 0
    with files.open(name) as stream:
        while piece := stream.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES)):
            state.update(piece)
            n_bytes += len(piece)
            left = None if left is None else left - len(piece)
    return state.digest() if n_bytes else None


def _stem(name: str) -> str:
    """A file's path without the endings that say its format and compression."""
    return re.sub(
        r"(?i)(?:\.(?:gz|bz2|xz|csv|tsv|txt|tab|dat|json|jsonl|ndjson|parquet|pq))+$", "", name
    )


def files_of_tables(files: RawFiles) -> list[str]:
    """The files that hold tables, going by their names, in order.

    Where none has an ending of a table, it is those without any ending, as parts often are.
    """
    names = sorted({n for kind in (TEXT, COLUMNAR, JSON_LINES) for n in files.find_all(kind)})
    return names or [n for n in files.names if "." not in PurePosixPath(n).name]


def _table_names(files: RawFiles, wanted: str | None) -> list[str]:
    if wanted is not None:
        found = [n for n in files.names if PurePosixPath(n).match(wanted) or n == wanted]
        if not found:
            raise DataError(f"{files.path} holds no file {wanted}; it holds {_listed(files.names)}")
        return found
    names = files_of_tables(files)
    packed = [n for n in files.names if re.fullmatch(f"(?:{TEXT}|{COLUMNAR}){PACKED}", n)]
    if packed and files.kind != "file":
        raise DataError(
            f"{files.path} holds {packed[0]}, whose compression is not known; decompress it, or "
            "name the files to read with --table"
        )
    if files.kind == "file":
        names = names or files.names
    if not names:
        raise DataError(
            f"{files.path} holds no table (it holds {_listed(files.names) or 'nothing'}); CSV, "
            "TSV, text, JSON lines or Parquet files were expected"
        )
    return names


def _opened(
    files: RawFiles, names: Sequence[str], options: ReadOptions
) -> list[tuple[str, TableReader]]:
    """The tables of these names; of several, empty ones and text that is no table are left out."""
    tables = []
    for name in names:
        try:
            tables.append((name, partitioned(open_table(files, name, options), name)))
        except EmptyDataError:
            if len(names) == 1:
                raise
        except DataError:
            if len(names) == 1 or not name.lower().endswith(".txt"):
                raise
    if not tables:
        raise EmptyDataError(f"{files.path} holds {len(names)} tables, all of them empty")
    return tables


def _lacks_a_header(table: TableReader, other: TableReader, roles: Sequence[Role]) -> bool:
    """Whether a table has as many columns as another, and no name that any role is known by."""
    known = {name for role in (*roles, *ITEM_ROLES) for name in role.names}
    unnamed = not known & {plain_name(column) for column in table.columns}
    return not table.typed and unnamed and len(table.columns) == len(other.columns)


def _same_roles(
    first: TableReader, second: TableReader, roles: Sequence[Role], given: Mapping[str, str | None]
) -> bool:
    """Whether two tables have columns of the same roles, called alike but for signs and case."""
    found = [resolve(table.columns, table.where, roles, given) for table in (first, second)]
    plain = [{role: plain_name(column) for role, column in each.items()} for each in found]
    return plain[0] == plain[1]


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
