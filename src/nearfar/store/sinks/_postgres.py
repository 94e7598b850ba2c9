"""Recommendations in PostgreSQL: the operations of a sink on its table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from nearfar.store.reader import Reader
from nearfar.store.sinks._postgres_reader import PostgresReader
from nearfar.store.sinks._postgres_table import PostgresTable
from nearfar.store.sinks._postgres_writer import PostgresWriter, drop_staged, withdraw
from nearfar.store.sinks._rows import IdKind, as_id, schema
from nearfar.store.sinks.sink import DayWriter

if TYPE_CHECKING:
    from psycopg import Connection

ROWS_AT_ONCE = 50_000
IS_PUBLISHED = "SELECT 1 FROM {days} WHERE date = {date}"
SELECT = """
SELECT user_id, rank, item_id, score, model_version, scored_at FROM {table} WHERE date = {date}
"""


class Postgres(PostgresTable):
    """Recommendations in a table of PostgreSQL."""

    @contextmanager
    def writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> Iterator[DayWriter]:
        """Open a writer of a day."""
        with self.for_writing(day) as connection:
            yield PostgresWriter(self, connection, day, version, scored_at, resume=resume)

    def delete(self, day: date) -> None:
        """Withdraw a day and its parts."""
        with self.for_writing(day) as connection, self.errors("write it"):
            with connection.transaction():
                drop_staged(self, connection, day)
            withdraw(self, connection, day)

    def dates(self) -> list[date]:
        """Return the published days, in order."""
        with self.connected() as connection, self.errors("read it"):
            if not self.exists(connection, "_days"):
                return []
            rows = connection.execute(self.statement("SELECT date FROM {days} ORDER BY date"))
            return [d for (d,) in rows]

    def version(self, day: date) -> str | None:
        """Return the version as which a day was published; None if it is not published."""
        with self.connected() as connection, self.errors("read it"):
            if not self.exists(connection, "_days"):
                return None
            query = self.statement("SELECT model_version FROM {days} WHERE date = {date}", date=day)
            row = connection.execute(query).fetchone()
            return None if row is None else row[0]

    def read(self, day: date, user: int | str | None) -> pl.DataFrame | None:
        """Return the rows of a day, of one user or all; None if the day is not published."""
        with self.connected() as connection, self.errors("read it"):
            if not self.exists(connection, "_days"):
                return None
            with connection.transaction():
                # The lock prevents publishing, so that both queries see the same state.
                connection.execute(self.statement("LOCK TABLE ONLY {table} IN ACCESS SHARE MODE"))
                if connection.execute(self.statement(IS_PUBLISHED, date=day)).fetchone() is None:
                    return None
                return self._rows(connection, day, user)

    def reader(self, seconds: float) -> Reader:
        """Return a reader over one connection that stays open."""
        return PostgresReader(self, seconds)

    def _rows(self, connection: Connection, day: date, user: int | str | None) -> pl.DataFrame:
        condition = "" if user is None else " AND user_id = {user}"
        key = None if user is None else as_id(user, self.ids)
        frames = [_frame([], self.ids)]
        with connection.cursor("nearfar") as cursor:
            query = SELECT + condition + " ORDER BY user_id, rank"
            cursor.execute(self.statement(query, date=day, user=key))
            while fetched := cursor.fetchmany(ROWS_AT_ONCE):
                frames.append(_frame(fetched, self.ids))
        return pl.concat(frames)


def _frame(rows: list[Any], ids: IdKind) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema(ids), orient="row")
