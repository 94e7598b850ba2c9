"""Sources of logs: tables in memory, files and folders, databases; read block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.extras import require
from nearfar.core.secrets import Url
from nearfar.tables.folder import files_of_tables
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import Numbers, OneTimeTable, TableReader
from nearfar.tables.sqlite import database_series
from nearfar.tables.table import FrameTable, ReadOptions, open_table

BLOCK_ROWS = 250_000


@dataclass(frozen=True)
class Query:
    """Rows of a database.

    Args:
        url: a SQLAlchemy URL; `${NAME}` in it is replaced by an environment variable, so that no
            password needs to be written down. User and password are percent-encoded. No message
            shows a password.
        text: a SELECT, or the name of a table or view, such as `events` or `web.events`.
    """

    url: str
    text: str

    def __repr__(self) -> str:
        return f"Query({self.text!r})"


Source = Path | str | pl.DataFrame | Query


def open_sources(source: Source, *, block_rows: int = BLOCK_ROWS) -> Iterator[TableReader]:
    """Yield the tables of a log: one, or those of a folder in the order of their names.

    Raises:
        DataError: the source is empty or cannot be read.
        SettingsError: the URL of the database is invalid.
        MissingExtraError: the source is a database and SQLAlchemy is not installed.
    """
    if isinstance(source, pl.DataFrame):
        yield FrameTable(source, "the table")
    elif isinstance(source, Query):
        with _query_table(source, block_rows) as table:
            yield table
    else:
        files = RawFiles(source)
        names = files_of_tables(files)
        if not names:
            raise DataError(f"{source} holds no table; give Parquet or CSV, or a folder of them")
        for name in names:
            yield open_table(files, name, ReadOptions())


class _QueryTable(OneTimeTable):
    """The result of a query, read block by block as it is fetched."""

    def __init__(self, where: str, result: Any, block_rows: int) -> None:
        self.where = where
        self.columns = list(result.keys())
        self._result, self._block_rows = result, block_rows

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        places = {c: self.columns.index(c) for c in selected}
        first = 1
        for rows in self._result.partitions(self._block_rows):
            columns = {c: [row[place] for row in rows] for c, place in places.items()}
            series = (database_series(c, values, self.where) for c, values in columns.items())
            yield pl.DataFrame(list(series)), first
            first += len(rows)


@contextmanager
def _query_table(query: Query, block_rows: int) -> Iterator[TableReader]:
    require("sqlalchemy", extra="sql", purpose="reading logs from a database")
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    address = Url(query.url)
    url = _url(address)
    where = f"{query.text!r} of the {url.get_backend_name()} database"
    file = url.database if url.get_backend_name() == "sqlite" else None
    if file and not file.startswith((":memory:", "file:")) and not Path(file).exists():
        raise DataError(f"{file} does not exist; give the file of an SQLite database")
    options = {"stream_results": True, "max_row_buffer": block_rows}
    try:
        # The query runs once, so no connection needs to stay open.
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with (
            engine.connect().execution_options(**options) as connection,
            closing(connection.execute(_statement(query.text))) as result,
        ):
            yield _QueryTable(where, result, block_rows)
    except (SQLAlchemyError, ImportError) as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise DataError(f"{where} cannot be read: {address.hide(reason)}") from None


def _statement(text: str) -> Any:
    import sqlalchemy

    words = text.strip().rstrip(";")
    if len(words.split()) > 1:
        return sqlalchemy.text(words)
    schema, _, name = words.rpartition(".")
    table = sqlalchemy.table(name, schema=schema or None)
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(table)


def _url(address: Url) -> Any:
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    revealed = address.for_database()
    try:
        return sqlalchemy.make_url(revealed)
    except (ArgumentError, ValueError):
        raise SettingsError(
            "the database's URL is not a valid SQLAlchemy URL; write it as "
            "sqlite:///events.db or postgresql+psycopg://user:${PASSWORD}@host/name"
        ) from None
