"""Write a day of recommendations to PostgreSQL."""

from __future__ import annotations

import hashlib
import io
import time
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from nearfar.core.errors import DataError
from nearfar.store.sinks._postgres_table import PostgresTable, partition_suffix
from nearfar.store.sinks._rows import duplicate_error
from nearfar.store.sinks.sink import DayWriter

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed


ROWS_AT_ONCE = 50_000
SQL_NAMES = {"user": "user_id", "item": "item_id"}
# The check allows attaching the table without a scan. Autovacuum is off because it could hold the
# table when it is to be attached, while readers wait.
STAGE = """
CREATE TABLE {staged} (LIKE {table} INCLUDING DEFAULTS, CHECK (date IS NOT NULL AND date = {date}))
WITH (autovacuum_enabled = off)
"""
CONSTANTS = """
ALTER TABLE {staged} ALTER date SET DEFAULT {date}, ALTER model_version SET DEFAULT {version},
    ALTER scored_at SET DEFAULT {scored_at}
"""
STAGED = """
SELECT relname FROM pg_class
WHERE relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = {named}::regclass)
    AND relkind = 'r' AND relname ~ {pattern}
"""
INDEXED = "SELECT 1 FROM pg_index WHERE indrelid = {named}::regclass"
WRITTEN = """
SELECT 1 FROM {parts} WHERE date = {date} AND version = {version} AND n_rows > 0 LIMIT 1
"""
FORGOTTEN = "DELETE FROM {days} WHERE date = {date}"
ATTACH = (
    "ALTER TABLE {staged} RESET (autovacuum_enabled)",
    "ALTER TABLE {table} ATTACH PARTITION {staged} FOR VALUES IN ({date})",
    "ALTER TABLE {staged} RENAME TO {partition}",
    FORGOTTEN,
    """
    INSERT INTO {days} (date, model_version, n_rows) SELECT {date}, {version}, sum(n_rows)
    FROM {parts} WHERE date = {date} AND version = {version}
    """,
    "DELETE FROM {parts} WHERE date = {date}",
)


class PostgresWriter(DayWriter):
    """Collects a day's parts in a staging table, and publishes it as a partition.

    Args:
        database: the table of recommendations.
        connection: connection with the sole right to write this day.
        day, version, scored_at: values of the rows.
        resume: keep the parts of an earlier run.
    """

    def __init__(
        self,
        database: PostgresTable,
        connection: Connection,
        day: date,
        version: str,
        scored_at: datetime,
        *,
        resume: bool,
    ) -> None:
        from psycopg.sql import Identifier

        super().__init__(day, version, scored_at, database.ids)
        self._database = database
        self._connection = connection
        self._suffix = _staged_suffix(day, version)
        base = database.table.rpartition(".")[2]
        self._values = {
            "staged": database.name(self._suffix),
            "partition": Identifier(base + partition_suffix(day)),
            "date": day,
            "version": version,
            "scored_at": scored_at,
        }
        with database.errors("write it"), connection.transaction():
            keep = self._suffix if resume else None
            drop_staged(database, connection, day, keep)
            if not database.exists(connection, self._suffix):
                self._execute("DELETE FROM {parts} WHERE date = {date}")
                self._execute(STAGE)
            self._execute(CONSTANTS)

    def _statement(self, text: str, **values: object) -> Composed:
        return self._database.statement(text, **self._values, **values)

    def _execute(self, text: str, **values: object) -> list[tuple]:
        cursor = self._connection.execute(self._statement(text, **values))
        return cursor.fetchall() if cursor.description else []

    @property
    def parts(self) -> list[int]:
        query = "SELECT part FROM {parts} WHERE date = {date} AND version = {version} ORDER BY part"
        with self._database.errors("read it"):
            return [p for (p,) in self._execute(query)]

    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        rows = rows.select(self._columns_to_send(rows))
        with self._database.errors("write it"), self._connection.transaction():
            self._copy(rows)
            self._execute(
                "INSERT INTO {parts} VALUES ({date}, {version}, {part}, {n_rows})",
                part=part,
                n_rows=rows.height,
            )

    def _columns_to_send(self, rows: pl.DataFrame) -> list[str]:
        """Return the columns that are not constant; constant ones are the table's defaults."""
        constants = {"model_version": self.version, "scored_at": self.scored_at}
        return [c for c in rows.columns if c not in constants or (rows[c] != constants[c]).any()]

    def _copy(self, rows: pl.DataFrame) -> None:
        from psycopg.sql import SQL, Identifier

        columns = SQL(", ").join(Identifier(SQL_NAMES.get(c, c)) for c in rows.columns)
        command = self._statement("COPY {staged} ({columns}) FROM STDIN", columns=columns)
        with self._connection.cursor() as cursor, cursor.copy(command) as copy:
            for start in range(0, rows.height, ROWS_AT_ONCE):
                copy.write(copy_text(rows.slice(start, ROWS_AT_ONCE)))

    def publish(self) -> None:
        from psycopg.errors import UniqueViolation

        with self._database.errors("publish it"):
            if not self._execute(WRITTEN):
                raise DataError(f"no rows of {self.day} were written; nothing was published")
            try:
                if not self._execute(INDEXED, named=self._database.text(self._suffix)):
                    self._execute("CREATE UNIQUE INDEX ON {staged} (user_id, rank)")
            except UniqueViolation:
                raise duplicate_error() from None
            self._execute("ANALYZE {staged}")
            _swap(self._database, self._connection, self.day, *map(self._statement, ATTACH))


def drop_staged(
    database: PostgresTable, connection: Connection, day: date, but: str | None = None
) -> None:
    """Drop the staging tables of earlier runs for a day, except the one with suffix `but`."""
    base = database.table.rpartition(".")[2]
    query = database.statement(
        STAGED,
        named=database.text("_parts"),
        pattern=f"^{base}{partition_suffix(day)}_new_[0-9a-f]{{8}}$",
    )
    for (name,) in connection.execute(query).fetchall():
        suffix = name.removeprefix(base)
        if suffix != but:
            connection.execute(database.statement("DROP TABLE {old}", old=database.name(suffix)))
    if but is None:
        query = database.statement("DELETE FROM {parts} WHERE date = {date}", date=day)
        connection.execute(query)


def withdraw(database: PostgresTable, connection: Connection, day: date) -> None:
    """Drop a day's partition.

    Raises:
        DataError: readers held the table for all of `publish_seconds`.
    """
    _swap(database, connection, day, database.statement(FORGOTTEN, date=day))


def _swap(
    database: PostgresTable, connection: Connection, day: date, *statements: Composed
) -> None:
    """Drop a day's partition, if there is one, and execute statements, in one transaction.

    The transaction locks the table, even if there is no partition yet: a reader that planned its
    query before would not find the rows of the new partition.
    """
    from psycopg.errors import DeadlockDetected, LockNotAvailable

    partition = database.name(partition_suffix(day))
    # Autovacuum may hold the old partition and yields only after a second. Stop it before the
    # table is locked, so that readers do not wait for it.
    stop_vacuum = "ALTER TABLE IF EXISTS {partition} SET (autovacuum_enabled = off)"
    connection.execute(database.statement(stop_vacuum, partition=partition))
    started, n_tries = time.monotonic(), 0
    lock = f"SET LOCAL lock_timeout = {max(round(database.lock_seconds * 1000), 1)}"
    lock += "; LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"
    drop = "DROP TABLE IF EXISTS {partition}"
    while True:
        try:
            with connection.transaction():
                connection.execute(database.statement(lock))
                connection.execute(database.statement(drop, partition=partition))
                for statement in statements:
                    connection.execute(statement)
            return
        except (LockNotAvailable, DeadlockDetected):
            if time.monotonic() - started > database.publish_seconds:
                raise DataError(
                    f"{database.address}: readers held {database.table} for "
                    f"{database.publish_seconds:g} s, so {day} was not changed; end their long "
                    "transactions and run again, its parts are kept"
                ) from None
        n_tries += 1
        time.sleep(min(0.1 * 2**n_tries, 5.0))


def _staged_suffix(day: date, version: str) -> str:
    """Return the suffix of the name of a day's staging table."""
    return f"{partition_suffix(day)}_new_{hashlib.sha256(version.encode()).hexdigest()[:8]}"


SPECIAL = r"[\\\t\n\r]"
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


def copy_text(rows: pl.DataFrame) -> bytes:
    """Return rows as tab-separated lines with backslash escapes.

    Source: the PostgreSQL manual, COPY, "Text Format".

    Args:
        rows: numbers, datetimes in UTC and text, without missing values.
    """
    columns = [_escape(c) if c.dtype == pl.String else c for c in rows.get_columns()]
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_csv(
        buffer,
        include_header=False,
        separator="\t",
        quote_style="never",
        datetime_format="%Y-%m-%d %H:%M:%S%.6f%:z",
    )
    return buffer.getvalue()


def _escape(text: pl.Series) -> pl.Series:
    if not text.str.contains(SPECIAL).any():
        return text
    for character, escape in ESCAPES.items():  # the backslash first, because the others add some
        text = text.str.replace_all(character, escape, literal=True)
    return text
