"""Recommendations in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.secrets import Url
from nearfar.store.reader import Reader
from nearfar.store.sinks._rows import IdKind, as_id, duplicate_error, schema
from nearfar.store.sinks._sqlite_reader import COLUMNS, SQLiteReader
from nearfar.store.sinks.sink import DayWriter

ROWS_AT_ONCE = 50_000
ID_TYPES = {"text": "TEXT", "integer": "INTEGER"}
TABLES = """
CREATE TABLE IF NOT EXISTS {table} (
    date TEXT NOT NULL, user_id {id} NOT NULL, rank INTEGER NOT NULL, item_id {id} NOT NULL,
    score REAL NOT NULL, model_version TEXT NOT NULL, scored_at TEXT NOT NULL,
    PRIMARY KEY (date, user_id, rank)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {table}_days (
    date TEXT PRIMARY KEY, model_version TEXT NOT NULL, n_rows INTEGER NOT NULL,
    published_at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {table}_parts (
    date TEXT NOT NULL, version TEXT NOT NULL, part INTEGER NOT NULL,
    PRIMARY KEY (date, version, part)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {table}_staged (
    date TEXT NOT NULL, user_id {id} NOT NULL, rank INTEGER NOT NULL, item_id {id} NOT NULL,
    score REAL NOT NULL, model_version TEXT NOT NULL, scored_at TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class SQLite:
    """A table of recommendations in an SQLite file."""

    address: Url
    table: str
    ids: IdKind
    publish_seconds: float

    def _path(self) -> Path:
        text = self.address.reveal().partition("://")[2].removeprefix("/").partition("?")[0]
        if not text or text == ":memory:":
            raise SettingsError(f"{self.address} names no file; sqlite:///file.db was expected")
        return Path(text)

    def check(self) -> None:
        """Check the address and the name of the table.

        Raises:
            SettingsError: the address names no file, or the table has a schema.
        """
        self._path()
        if "." in self.table:
            raise SettingsError(f"table is {self.table!r}; SQLite has no schemas: omit it")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self._path()
        with self.address.errors("open it", OSError, sqlite3.Error):
            path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(path, timeout=self.publish_seconds, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _for_writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            kind = ID_TYPES[self.ids]
            with self.address.errors("open it", sqlite3.Error):
                connection.execute("PRAGMA journal_mode = WAL")
                for statement in TABLES.format(table=self.table, id=kind).split(";\n"):
                    connection.execute(statement)
                info = connection.execute(f"PRAGMA table_info({self.table})")
                id_type = {r[1]: r[2] for r in info}.get("user_id")
            if id_type != kind:
                raise DataError(
                    f"{self.address}: {self.table} keeps ids as {id_type}, not {kind}; change the "
                    "setting `ids`, or name another table"
                )
            yield connection

    @contextmanager
    def _for_reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open a connection in a transaction, so that all reads see one state; None if no table."""
        if not self._path().exists():
            yield None
            return
        with self._open() as connection, self.address.errors("read it", sqlite3.Error):
            connection.execute("BEGIN")
            query = "SELECT 1 FROM sqlite_master WHERE name = ?"
            exists = connection.execute(query, (f"{self.table}_days",)).fetchone()
            yield connection if exists else None

    @contextmanager
    def writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> Iterator[DayWriter]:
        """Open a writer of a day."""
        with self._for_writing() as connection:
            with self.transaction(connection):
                if not resume or _versions(connection, self.table, day) != {version}:
                    _drop_staged(connection, self.table, day)
            yield _SQLiteWriter(self, connection, day, version, scored_at)

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        """Commit all writes of the block, or none."""
        with self.address.errors("write it", sqlite3.Error):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def delete(self, day: date) -> None:
        """Withdraw a day and its parts."""
        with self._for_writing() as connection, self.transaction(connection):
            _drop_staged(connection, self.table, day)
            for table in (self.table, f"{self.table}_days"):
                connection.execute(f"DELETE FROM {table} WHERE date = ?", (day.isoformat(),))

    def dates(self) -> list[date]:
        """Return the published days, in order."""
        with self._for_reading() as connection:
            if connection is None:
                return []
            rows = connection.execute(f"SELECT date FROM {self.table}_days ORDER BY date")
            return [date.fromisoformat(d) for (d,) in rows]

    def version(self, day: date) -> str | None:
        """Return the version as which a day was published; None if it is not published."""
        with self._for_reading() as connection:
            if connection is None:
                return None
            query = f"SELECT model_version FROM {self.table}_days WHERE date = ?"
            row = connection.execute(query, (day.isoformat(),)).fetchone()
            return None if row is None else row[0]

    def read(self, day: date, user: int | str | None) -> pl.DataFrame | None:
        """Return the rows of a day, of one user or all; None if the day is not published."""
        with self._for_reading() as connection:
            if connection is None:
                return None
            is_published = f"SELECT 1 FROM {self.table}_days WHERE date = ?"
            if connection.execute(is_published, (day.isoformat(),)).fetchone() is None:
                return None
            query = f"SELECT {COLUMNS} FROM {self.table} WHERE date = ?"
            values: tuple[str | int | None, ...] = (day.isoformat(),)
            if user is not None:
                query += " AND user_id = ?"
                values += (as_id(user, self.ids),)
            cursor = connection.execute(f"{query} ORDER BY user_id, rank", values)
            frames = [_frame([], self.ids)]
            while fetched := cursor.fetchmany(ROWS_AT_ONCE):
                frames.append(_frame(fetched, self.ids))
        return pl.concat(frames)

    def reader(self, seconds: float) -> Reader:
        """Return a reader over one connection that stays open."""
        return SQLiteReader(self.address, self._path(), self.table, self.ids, seconds)


class _SQLiteWriter(DayWriter):
    def __init__(
        self,
        database: SQLite,
        connection: sqlite3.Connection,
        day: date,
        version: str,
        scored_at: datetime,
    ) -> None:
        super().__init__(day, version, scored_at, database.ids)
        self._database = database
        self._connection = connection
        self._table = database.table

    @property
    def parts(self) -> list[int]:
        query = f"SELECT part FROM {self._table}_parts WHERE date = ? ORDER BY part"
        return [p for (p,) in self._connection.execute(query, (self.day.isoformat(),))]

    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        day = self.day.isoformat()
        insert = f"INSERT INTO {self._table}_staged VALUES (?, ?, ?, ?, ?, ?, ?)"
        with self._database.transaction(self._connection):
            for start in range(0, rows.height, ROWS_AT_ONCE):
                chunk = rows.slice(start, ROWS_AT_ONCE).with_columns(
                    pl.col("scored_at").dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
                )
                self._connection.executemany(insert, ((day, *r) for r in chunk.iter_rows()))
            self._connection.execute(
                f"INSERT INTO {self._table}_parts VALUES (?, ?, ?)", (day, self.version, part)
            )

    def publish(self) -> None:
        table, day = self._table, (self.day.isoformat(),)
        with self._database.transaction(self._connection):
            self._connection.execute(f"DELETE FROM {table} WHERE date = ?", day)
            try:
                n_rows = self._connection.execute(
                    f"INSERT INTO {table} SELECT * FROM {table}_staged WHERE date = ? "
                    "ORDER BY user_id, rank",
                    day,
                ).rowcount
            except sqlite3.IntegrityError:
                raise duplicate_error() from None
            if not n_rows:
                raise DataError(f"no rows of {self.day} were written; nothing was published")
            now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
            self._connection.execute(
                f"INSERT OR REPLACE INTO {table}_days VALUES (?, ?, ?, ?)",
                (*day, self.version, n_rows, now),
            )
            _drop_staged(self._connection, table, self.day)


def _versions(connection: sqlite3.Connection, table: str, day: date) -> set[str]:
    query = f"SELECT DISTINCT version FROM {table}_parts WHERE date = ?"
    return {v for (v,) in connection.execute(query, (day.isoformat(),))}


def _drop_staged(connection: sqlite3.Connection, table: str, day: date) -> None:
    for kind in ("staged", "parts"):
        connection.execute(f"DELETE FROM {table}_{kind} WHERE date = ?", (day.isoformat(),))


def _frame(rows: list[tuple], ids: IdKind) -> pl.DataFrame:
    columns = schema(ids)
    frame = pl.DataFrame(rows, schema={**columns, "scored_at": pl.String}, orient="row")
    time = pl.col("scored_at").str.to_datetime("%Y-%m-%d %H:%M:%S%.6f", time_unit="us")
    return frame.with_columns(time.dt.replace_time_zone("UTC"))
