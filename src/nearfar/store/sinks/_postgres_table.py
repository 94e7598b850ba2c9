"""A table of recommendations in PostgreSQL: its names, its making, connections, locks."""

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
# Times are told in UTC; a server that knows how to gives up, within a second, what a killed process
# had asked of it, so that the next run finds the day free.
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
    """One table of recommendations in PostgreSQL, and those of service beside it.

    Args:
        address: of the database.
        table: its name, perhaps with its schema.
        ids: how ids are kept.
        lock_seconds: how long readers may be kept waiting at once.
        publish_seconds: after which time without the table publishing fails.
    """

    address: Url
    table: str
    ids: IdKind
    lock_seconds: float
    publish_seconds: float

    def check(self) -> None:
        """Raises MissingExtraError where psycopg is missing."""
        require("psycopg", extra="sql", purpose="keeping recommendations in PostgreSQL")

    def name(self, suffix: str = "") -> Identifier:
        """The quoted name of the table, or of one that belongs to it."""
        from psycopg.sql import Identifier

        owner, _, table = self.table.rpartition(".")
        return Identifier(owner, table + suffix) if owner else Identifier(table + suffix)

    def text(self, suffix: str = "") -> str:
        """The same as text, for ::regclass."""
        return self.name(suffix).as_string(None)

    def statement(self, text: str, **values: Any) -> Composed:
        """A statement with the names of the tables, and values as literals, filled in."""
        from psycopg.sql import SQL, Composable, Literal

        filled = {k: v if isinstance(v, Composable) else Literal(v) for k, v in values.items()}
        names = {"table": self.name(), "days": self.name("_days"), "parts": self.name("_parts")}
        return SQL(text).format(**names, **filled)  # pyright: ignore[reportArgumentType]

    def exists(self, connection: Connection, suffix: str) -> bool:
        """Whether a table that belongs to this one exists."""
        query = self.statement("SELECT to_regclass({named})", named=self.text(suffix))
        found = connection.execute(query).fetchone()
        return found is not None and found[0] is not None

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """PostgreSQL's errors as a DataError of one line without secrets."""
        import psycopg

        with self.address.errors(doing, psycopg.Error):
            yield

    def connect(self, **options: Any) -> Connection:
        """Open a connection without a transaction.

        Args:
            options: libpq's parameters; those of the address win.

        Raises:
            psycopg.Error: the server cannot be reached or refuses.
        """
        self.check()
        import psycopg
        from psycopg.conninfo import conninfo_to_dict

        scheme, _, rest = self.address.for_database().partition("://")
        address = f"{scheme.partition('+')[0]}://{rest}"
        known = conninfo_to_dict(address)
        options = {k: v for k, v in options.items() if k not in known}
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
        """A connection, without a transaction."""
        with self.errors("connect"):
            connection = self.connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def for_writing(self, day: date) -> Iterator[Connection]:
        """A connection that alone writes a day, with all tables made.

        Raises:
            DataError: another process writes the day, or the table keeps ids of another kind.
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
                # Two at once would both find no table, and one fail.
                _lock(connection, "pg_advisory_xact_lock", f"nearfar {self.table}")
                kind = SQL(ID_TYPES[self.ids])  # pyright: ignore[reportArgumentType]
                connection.execute(self.statement(CREATE, id=kind))
            self._check_ids(connection)
            yield connection

    def _check_ids(self, connection: Connection) -> None:
        with self.errors("read it"):
            query = self.statement(COLUMN_TYPE, named=self.text())
            found = connection.execute(query).fetchone()
        kind = ID_TYPES[self.ids].partition(" ")[0]
        if found is None or found[0] != kind:
            raise DataError(
                f"{self.address}: {self.table} keeps ids as {found and found[0]}, not {kind}; "
                "change the setting `ids`, or name another table"
            )


def partition_suffix(day: date) -> str:
    """What a day's partition is called after the table."""
    return f"_{day:%Y%m%d}"


def _lock(connection: Connection, function: str, what: str) -> None:
    """A lock among nearfar's own processes.

    It ends with the connection or the transaction, also where the process is killed.
    """
    from psycopg.sql import SQL, Identifier

    connection.execute(f"SET lock_timeout = {LOCK_SECONDS * 1000:d}")  # pyright: ignore
    take = SQL("SELECT {}(hashtextextended(%s, 0))").format(Identifier(function))
    connection.execute(take, (what,))
    connection.execute("RESET lock_timeout")
