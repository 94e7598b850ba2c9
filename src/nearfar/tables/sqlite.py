"""Read the tables of an SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import polars as pl

from nearfar.core.errors import DataError, SchemaError
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import Numbers, TableReader

MAGIC = b"SQLite format 3\0"
BATCH_ROWS = 200_000


def is_sqlite(files: RawFiles) -> bool:
    """Return whether the path is a single file with an SQLite database."""
    if files.kind != "file":
        return False
    with files.path.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def table_names(path: Path) -> list[str]:
    """Return the tables and views of a database, sorted by name.

    Raises:
        DataError: the file is damaged.
    """
    query = (
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )
    with _opened(path) as connection:
        return [str(name) for (name,) in connection.execute(query)]


def view_names(path: Path) -> set[str]:
    """Return the views of a database, which repeat rows of its tables."""
    with _opened(path) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'view'"
        return {str(name) for (name,) in connection.execute(query)}


class SQLiteTable(TableReader):
    """A table or view of an SQLite file, opened read-only.

    Raises:
        DataError: the table cannot be read.
    """

    kind = "an SQLite"

    def __init__(self, path: Path, name: str) -> None:
        self.where = f"{path}:{name}"
        self._path, self._name = path, name
        with _opened(path) as connection:
            cursor = connection.execute(f"SELECT * FROM {_identifier(name)} LIMIT 0")
            self.columns = [column[0] for column in cursor.description]

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        names = ", ".join(map(_identifier, selected))
        first = 1
        with _opened(self._path) as connection:
            cursor = connection.execute(f"SELECT {names} FROM {_identifier(self._name)}")
            while rows := cursor.fetchmany(BATCH_ROWS):
                columns = zip(selected, zip(*rows, strict=True), strict=True)
                yield pl.DataFrame([self._series(c, values) for c, values in columns]), first
                first += len(rows)

    def _series(self, column: str, values: Sequence[object]) -> pl.Series:
        if column in self.lenient:
            values = [None if isinstance(value, bytes) else value for value in values]
        return database_series(column, values, self.where)


def database_series(column: str, values: Sequence[object], where: str) -> pl.Series:
    """Return values from a database as a column; text if any of them is text.

    Raises:
        SchemaError: the column has blobs.
    """
    types = {type(value) for value in values} - {type(None)}
    if bytes in types:
        raise SchemaError(f"{where}: column {column!r} has blobs; text was expected")
    if types & {str, UUID}:  # a column of SQLite may mix text and numbers
        values = [None if value is None else str(value) for value in values]
    return pl.Series(column, values, strict=False)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be read as an SQLite database: {error}") from None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
