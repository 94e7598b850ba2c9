"""Reading the recommendations of a few users from SQLite, again and again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

from nearfar.core.secrets import Url
from nearfar.store.reader import Reader, StoredRecommendation, UnreachableError
from nearfar.store.sinks._rows import IdKind, by_key, by_user

COLUMNS = "user_id, rank, item_id, score, model_version, scored_at"
MOMENT = "%Y-%m-%d %H:%M:%S.%f"


class SQLiteReader(Reader):
    """Holds one connection, opened again where the file was replaced.

    Args:
        address: of the database, for errors.
        path: of its file.
        table: of recommendations.
        ids: how ids are kept.
        seconds: how long a read may wait for a writer.
    """

    def __init__(self, address: Url, path: Path, table: str, ids: IdKind, seconds: float) -> None:
        self._address = address
        self._table = table
        self._ids: IdKind = ids
        self._path = path
        self._seconds = seconds
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def latest(self) -> date | None:
        with self._transaction() as connection:
            if connection is None:
                return None
            query = f"SELECT max(date) FROM {self._table}_days"
            (found,) = connection.execute(query).fetchone()
            return None if found is None else date.fromisoformat(found)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        table, asked = self._table, by_key(users, self._ids)
        with self._transaction() as connection:
            if connection is None:
                return None
            known = f"SELECT 1 FROM {table}_days WHERE date = ?"
            if connection.execute(known, (day.isoformat(),)).fetchone() is None:
                return None
            places = ", ".join("?" * len(asked))
            query = f"SELECT {COLUMNS} FROM {table} WHERE date = ? AND user_id IN ({places})"
            rows = connection.execute(
                f"{query} ORDER BY user_id, rank", (day.isoformat(), *asked)
            ).fetchall()
        return by_user(
            ((*row, datetime.strptime(at, MOMENT).replace(tzinfo=UTC)) for *row, at in rows), asked
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection | None]:
        """A transaction, so that all is of one moment; None without a table."""
        try:
            connection = self._opened()
            if connection is None:
                yield None
                return
            connection.execute("BEGIN")
            query = "SELECT 1 FROM sqlite_master WHERE name = ?"
            made = connection.execute(query, (f"{self._table}_days",)).fetchone()
            yield connection if made else None
            connection.execute("ROLLBACK")
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise UnreachableError(self._address.told("read it", error)) from None
        except BaseException:
            self.close()
            raise

    def _opened(self) -> sqlite3.Connection | None:
        try:
            told = self._path.stat()
        except FileNotFoundError:
            self.close()
            return None
        if (told.st_dev, told.st_ino) != self._file:
            self.close()
        if self._connection is None:
            # Handed from thread to thread, but used by one at a time.
            self._connection = sqlite3.connect(
                self._path, timeout=self._seconds, isolation_level=None, check_same_thread=False
            )
            self._file = told.st_dev, told.st_ino
        return self._connection
