"""Read the recommendations of a few users from SQLite, repeatedly."""

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
    """Reads through one connection, and reopens it if the file was replaced.

    Args:
        address: URL of the database, for error messages.
        path: path of the database file.
        table: name of the table of recommendations.
        ids: type of the ids.
        seconds: longest time that a read waits for a writer.
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
            (day,) = connection.execute(query).fetchone()
            return None if day is None else date.fromisoformat(day)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        table, users_by_id = self._table, by_key(users, self._ids)
        with self._transaction() as connection:
            if connection is None:
                return None
            is_published = f"SELECT 1 FROM {table}_days WHERE date = ?"
            if connection.execute(is_published, (day.isoformat(),)).fetchone() is None:
                return None
            marks = ", ".join("?" * len(users_by_id))
            query = f"SELECT {COLUMNS} FROM {table} WHERE date = ? AND user_id IN ({marks})"
            rows = connection.execute(
                f"{query} ORDER BY user_id, rank", (day.isoformat(), *users_by_id)
            ).fetchall()
        return by_user(
            ((*row, datetime.strptime(at, MOMENT).replace(tzinfo=UTC)) for *row, at in rows),
            users_by_id,
        )

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection | None]:
        """Open a transaction, so that all reads see one state; None without a table."""
        try:
            connection = self._open()
            if connection is None:
                yield None
                return
            connection.execute("BEGIN")
            query = "SELECT 1 FROM sqlite_master WHERE name = ?"
            exists = connection.execute(query, (f"{self._table}_days",)).fetchone()
            yield connection if exists else None
            connection.execute("ROLLBACK")
        except (OSError, sqlite3.Error) as error:
            self.close()
            raise UnreachableError(self._address.error_message("read it", error)) from None
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection | None:
        try:
            file_state = self._path.stat()
        except FileNotFoundError:
            self.close()
            return None
        if (file_state.st_dev, file_state.st_ino) != self._file:
            self.close()
        if self._connection is None:
            # Threads share the connection, but only one uses it at a time.
            self._connection = sqlite3.connect(
                self._path, timeout=self._seconds, isolation_level=None, check_same_thread=False
            )
            self._file = file_state.st_dev, file_state.st_ino
        return self._connection
