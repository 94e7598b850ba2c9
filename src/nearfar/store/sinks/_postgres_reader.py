"""Reading the recommendations of a few users from PostgreSQL, again and again."""

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
# One statement, so that it is of one state: the day is published and the rows are its rows. Its
# date is a literal, so that the plan names the one partition. A published day always gives a row.
ROWS = """
SELECT r.user_id, r.rank, r.item_id, r.score, r.model_version, r.scored_at
FROM {days} d LEFT JOIN {table} r ON r.date = {date} AND r.user_id = ANY(%s::{kind})
WHERE d.date = {date} ORDER BY r.user_id, r.rank
"""
KINDS = {"text": "text[]", "integer": "bigint[]"}
MIN_CONNECT_SECONDS = 2
"""libpq takes 1 for 2."""


class PostgresReader(Reader):
    """Holds one connection. One that the server has closed meanwhile is opened again.

    Statements are not prepared, so that a pooler between may hand each to another server process.

    Args:
        table: the table of recommendations.
        seconds: the server gives up a statement after this time.
    """

    def __init__(self, table: PostgresTable, seconds: float) -> None:
        self._table = table
        self._seconds = seconds
        self._connection: Connection | None = None

    def latest(self) -> date | None:
        from psycopg.errors import UndefinedTable

        def ask(connection: Connection) -> date | None:
            try:
                found = connection.execute(self._table.statement(LATEST)).fetchone()
            except UndefinedTable:
                return None
            return None if found is None else found[0]

        return self._asked(ask)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        from psycopg.errors import UndefinedTable
        from psycopg.sql import SQL

        asked = by_key(users, self._table.ids)
        statement = self._table.statement(ROWS, date=day, kind=SQL(KINDS[self._table.ids]))  # pyright: ignore

        def ask(connection: Connection) -> dict[str, list[StoredRecommendation]] | None:
            cursor = connection.cursor(binary=True)
            try:
                rows = cursor.execute(statement, (list(asked),), prepare=False).fetchall()
            except UndefinedTable:
                return None
            return by_user((r for r in rows if r[0] is not None), asked) if rows else None

        return self._asked(ask)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _asked(self, ask: Callable[[Connection], T]) -> T:
        """What `ask` returns; asked again once where the connection had been closed by then."""
        import psycopg

        kept = self._connection is not None and not self._connection.closed
        try:
            try:
                return ask(self._opened())
            except psycopg.Error as error:
                if not (kept and self._lost(error)):
                    raise
            return ask(self._opened())
        except psycopg.Error as error:
            kind = UnreachableError if self._lost(error) else DataError
            raise kind(self._table.address.told("read it", error)) from None

    def _opened(self) -> Connection:
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

    def _lost(self, error: psycopg.Error) -> bool:
        """Whether it is the connection that failed, and not the statement. Closes it then."""
        import psycopg

        if self._connection is not None and self._connection.broken:
            self._connection.close()
        statement = (
            psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
        )  # fmt: skip
        if isinstance(error, statement):
            return False
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
