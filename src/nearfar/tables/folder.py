"""Which tables of a folder or archive make one log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.tables.columnar import COLUMNAR
from nearfar.tables.columns import ITEM_ROLES, AmbiguousColumnError, Role, resolve
from nearfar.tables.json_lines import JSON_LINES
from nearfar.tables.names import plain_name
from nearfar.tables.partitions import partitioned
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import TableReader
from nearfar.tables.sqlite import SQLiteTable, is_sqlite, table_names, view_names
from nearfar.tables.table import TEXT, ReadOptions, open_table

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
    """Name files of a folder that are read and hold the same bytes as another; "" without any.

    They may be copies, or days on which the same happened, so that they are not left out.

    Args:
        files: the folder.
        skipped: the files that are not read.
    """
    if files.kind != "folder":
        return ""
    of_size: dict[int, list[str]] = {}
    for name in files_of_tables(files):
        if name not in skipped and (size := (files.path / name).stat().st_size):
            of_size.setdefault(size, []).append(name)
    first: dict[bytes, str] = {}
    alike = []
    for name in (name for names in of_size.values() if len(names) > 1 for name in names):
        with (files.path / name).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").digest()
        if (other := first.setdefault(digest, name)) != name:
            alike.append(f"{name} as {other}")
    return f"the same content: {_listed(alike)}; take copies away, since all events count" * bool(
        alike
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
