"""Read the recommendations of a few users from PostgreSQL, repeatedly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, TypeVar

from nearfar.core.errors import DataError
from nearfar.store.reader import Reader, StoredRecommendation, UnreachableError
from nearfar.store.sinks._postgres_table import PostgresTable
from nearfar.store.sinks._rows import by_key, by_user

if TYPE_CHECKING:
    import psycopg
    from psycopg import Connection

T = TypeVar("T")

LATEST = "SELECT max(date) FROM {days}"
# A single statement, so that the published day and its rows are of one state. The date is a
# literal, so that the plan uses one partition only. A published day always gives at least one row.
ROWS = """
SELECT r.user_id, r.rank, r.item_id, r.score, r.model_version, r.scored_at
FROM {days} d LEFT JOIN {table} r ON r.date = {date} AND r.user_id = ANY(%s::{kind})
WHERE d.date = {date} ORDER BY r.user_id, r.rank
"""
KINDS = {"text": "text[]", "integer": "bigint[]"}
MIN_CONNECT_SECONDS = 2
"""libpq treats 1 as 2."""


class PostgresReader(Reader):
    """Reads through one connection, and reopens it if the server has closed it.

    Statements are not prepared, so that a connection pooler may send each to another server
    process.

    Args:
        table: the table of recommendations.
        seconds: time limit of a statement on the server.
    """

    def __init__(self, table: PostgresTable, seconds: float) -> None:
        self._table = table
        self._seconds = seconds
        self._connection: Connection | None = None

    def latest(self) -> date | None:
        from psycopg.errors import UndefinedTable

        def query(connection: Connection) -> date | None:
            try:
                row = connection.execute(self._table.statement(LATEST)).fetchone()
            except UndefinedTable:
                return None
            return None if row is None else row[0]

        return self._retry(query)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        from psycopg.errors import UndefinedTable
        from psycopg.sql import SQL

        users_by_id = by_key(users, self._table.ids)
        statement = self._table.statement(ROWS, date=day, kind=SQL(KINDS[self._table.ids]))  # pyright: ignore

        def query(connection: Connection) -> dict[str, list[StoredRecommendation]] | None:
            cursor = connection.cursor(binary=True)
            try:
                rows = cursor.execute(statement, (list(users_by_id),), prepare=False).fetchall()
            except UndefinedTable:
                return None
            return by_user((r for r in rows if r[0] is not None), users_by_id) if rows else None

        return self._retry(query)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _retry(self, query: Callable[[Connection], T]) -> T:
        """Return the result of `query`; retry it once if an open connection turns out closed."""
        import psycopg

        was_open = self._connection is not None and not self._connection.closed
        try:
            try:
                return query(self._open())
            except psycopg.Error as error:
                if not (was_open and self._is_lost(error)):
                    raise
            return query(self._open())
        except psycopg.Error as error:
            kind = UnreachableError if self._is_lost(error) else DataError
            raise kind(self._table.address.error_message("read it", error)) from None

    def _open(self) -> Connection:
        if self._connection is None or self._connection.closed:
            milliseconds = math.ceil(1000 * self._seconds)
            self._connection = self._table.connect(
                connect_timeout=max(MIN_CONNECT_SECONDS, math.ceil(self._seconds)),
                tcp_user_timeout=milliseconds,
            )
            self._connection.execute(
                "SELECT set_config('statement_timeout', %s, false)", (str(milliseconds),)
            )
        return self._connection

    def _is_lost(self, error: psycopg.Error) -> bool:
        """Return whether the connection failed instead of the statement; close it if it did."""
        import psycopg

        if self._connection is not None and self._connection.broken:
            self._connection.close()
        statement_errors = (
            psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
        )  # fmt: skip
        if isinstance(error, statement_errors):
            return False
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
