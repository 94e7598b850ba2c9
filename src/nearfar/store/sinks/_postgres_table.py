"""A table of recommendations in PostgreSQL: names, creation, connections and locks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from nearfar.core.errors import DataError
from nearfar.core.extras import require
from nearfar.core.secrets import Url
from nearfar.store.sinks._rows import IdKind

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed, Identifier

LOCK_SECONDS = 10
ID_TYPES = {"text": 'text COLLATE "C"', "integer": "bigint"}
CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    scored_at timestamptz NOT NULL, date date NOT NULL, rank integer NOT NULL,
    score real NOT NULL, user_id {id} NOT NULL, item_id {id} NOT NULL,
    model_version text NOT NULL
) PARTITION BY LIST (date);
CREATE TABLE IF NOT EXISTS {days} (
    date date PRIMARY KEY, model_version text NOT NULL, n_rows bigint NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {parts} (
    date date NOT NULL, version text NOT NULL, part integer NOT NULL,
    n_rows bigint NOT NULL, PRIMARY KEY (date, version, part)
)
"""
# Times are in UTC. The server, if it can, cancels the statement of a killed process within a
# second, so that the next run does not find the day locked.
SESSION = """
SELECT set_config('TimeZone', 'UTC', false);
SELECT set_config(name, '1s', false) FROM pg_settings
WHERE name = 'client_connection_check_interval'
"""
COLUMN_TYPE = """
SELECT format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = {named}::regclass AND attname = 'user_id'
"""


@dataclass(frozen=True)
class PostgresTable:
    """A table of recommendations in PostgreSQL, and its auxiliary tables.

    Args:
        address: URL of the database.
        table: name of the table, optionally with its schema.
        ids: type of the ids.
        lock_seconds: longest time that readers wait at once.
        publish_seconds: time after which publishing fails if the table stays locked.
    """

    address: Url
    table: str
    ids: IdKind
    lock_seconds: float
    publish_seconds: float

    def check(self) -> None:
        """Check that psycopg is installed.

        Raises:
            MissingExtraError: psycopg is not installed.
        """
        require("psycopg", extra="sql", purpose="keeping recommendations in PostgreSQL")

    def name(self, suffix: str = "") -> Identifier:
        """Return the quoted name of the table, or of an auxiliary table."""
        from psycopg.sql import Identifier

        owner, _, table = self.table.rpartition(".")
        return Identifier(owner, table + suffix) if owner else Identifier(table + suffix)

    def text(self, suffix: str = "") -> str:
        """Return the same name as text, for ::regclass."""
        return self.name(suffix).as_string(None)

    def statement(self, text: str, **values: Any) -> Composed:
        """Return a statement with the names of the tables and the values as literals filled in."""
        from psycopg.sql import SQL, Composable, Literal

        literals = {k: v if isinstance(v, Composable) else Literal(v) for k, v in values.items()}
        names = {"table": self.name(), "days": self.name("_days"), "parts": self.name("_parts")}
        return SQL(text).format(**names, **literals)  # pyright: ignore[reportArgumentType]

    def exists(self, connection: Connection, suffix: str) -> bool:
        """Return whether an auxiliary table exists."""
        query = self.statement("SELECT to_regclass({named})", named=self.text(suffix))
        row = connection.execute(query).fetchone()
        return row is not None and row[0] is not None

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Convert PostgreSQL's errors to a DataError of one line without secrets."""
        import psycopg

        with self.address.errors(doing, psycopg.Error):
            yield

    def connect(self, **options: Any) -> Connection:
        """Open a connection without a transaction.

        Args:
            options: parameters of libpq; those in the address take precedence.

        Raises:
            psycopg.Error: the server cannot be reached or refuses.
        """
        self.check()
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        scheme, _, location = self.address.for_database().partition("://")
        address = f"{scheme.partition('+')[0]}://{location}"
        in_address = conninfo_to_dict(address)
        options = {k: v for k, v in options.items() if k not in in_address}
        connection = psycopg.connect(
            address, autocommit=True, application_name="nearfar", **options
        )
        try:
            connection.execute(SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Open a connection without a transaction, and close it at the end."""
        with self.errors("connect"):
            connection = self.connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def for_writing(self, day: date) -> Iterator[Connection]:
        """Open a connection with the sole right to write a day; create missing tables.

        Raises:
            DataError: another process writes the day, or the table has ids of another type.
        """
        from psycopg.errors import LockNotAvailable
        from psycopg.sql import SQL

        with self.connected() as connection:
            with self.errors("write it"):
                try:
                    _lock(connection, "pg_advisory_lock", f"nearfar {self.table} {day}")
                except LockNotAvailable:
                    raise DataError(
                        f"{self.address}: another process writes {day} of {self.table}; wait for it"
                    ) from None
            with self.errors("make its tables"), connection.transaction():
                # Without the lock, two processes could both try to create the tables.
                _lock(connection, "pg_advisory_xact_lock", f"nearfar {self.table}")
                kind = SQL(ID_TYPES[self.ids])  # pyright: ignore[reportArgumentType]
                connection.execute(self.statement(CREATE, id=kind))
            self._check_ids(connection)
            yield connection

    def _check_ids(self, connection: Connection) -> None:
        with self.errors("read it"):
            query = self.statement(COLUMN_TYPE, named=self.text())
            row = connection.execute(query).fetchone()
        kind = ID_TYPES[self.ids].partition(" ")[0]
        if row is None or row[0] != kind:
            raise DataError(
                f"{self.address}: {self.table} keeps ids as {row and row[0]}, not {kind}; "
                "change the setting `ids`, or name another table"
            )


def partition_suffix(day: date) -> str:
    """Return the suffix of the name of a day's partition."""
    return f"_{day:%Y%m%d}"


def _lock(connection: Connection, function: str, key: str) -> None:
    """Take an advisory lock among nearfar's own processes.

    It ends with the connection or the transaction, even if the process is killed.
    """
    from psycopg.sql import SQL, Identifier

    connection.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000:d}")  # pyright: ignore
    statement = SQL("SELECT {}(hashtextextended(%s, 0))").format(Identifier(function))
    connection.execute(statement, (key,))
    connection.execute("RESET lock_timeout")
