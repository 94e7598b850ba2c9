"""Recommendations in a database: SQLite or PostgreSQL."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import PositiveFloat
from nearfar.core.secrets import Url
from nearfar.store.reader import Reader
from nearfar.store.sinks import _postgres, _sqlite
from nearfar.store.sinks._rows import IdKind
from nearfar.store.sinks.sink import DayWriter, RecommendationSink

NAME = re.compile(r"([a-z_][a-z0-9_]{0,30}\.)?[a-z_][a-z0-9_]{0,30}")


@dataclass(frozen=True)
class SQLRecommendations(RecommendationSink):
    """Recommendations in a table of SQLite or PostgreSQL, with auxiliary tables.

    The columns are `date`, `user_id`, `rank`, `item_id`, `score`, `model_version` and `scored_at`;
    an index finds a user of a day. `TABLE_days` lists the published days with version and number of
    rows: `WHERE date = (SELECT max(date) FROM recommendations_days)` reads the latest day.

    SQLite: parts go to a staging table, and one transaction replaces the day. Readers are not
    blocked meanwhile (write-ahead log).

    PostgreSQL: a day is a partition. COPY writes the parts to a staging table, which is indexed.
    Then one transaction of milliseconds drops the old partition and attaches the new one. It needs
    an exclusive lock: it waits for readers at most `lock_seconds` at a time, so that none waits
    longer behind it, and retries for `publish_seconds`. Readers under READ COMMITTED, the default,
    see the old day or the new one. A transaction under REPEATABLE READ that began while parts were
    written, and first reads the table after they are published, may see too few rows, as after any
    TRUNCATE.

    Args:
        url: `sqlite:///recommendations.db` or `postgresql://user:${PGPASSWORD}@host/database`;
            `${NAME}` is an environment variable, and passwords are never shown.
        table: name of the table, optionally with its schema ("shop.recommendations"); lower case,
            at most 31 characters.
        ids: type of the ids, "text" or "integer"; fixed once the table is created.
        lock_seconds: longest time that readers wait at once.
        publish_seconds: time after which publishing fails if the table stays locked.

    Examples:
        >>> from nearfar.store.sinks.sql import SQLRecommendations
        >>> SQLRecommendations("sqlite:///recommendations.db").table
        'recommendations'
    """

    url: str
    table: str = "recommendations"
    ids: IdKind = "text"
    lock_seconds: PositiveFloat = 2.0
    publish_seconds: PositiveFloat = 600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "url", Url(self.url))
        if not NAME.fullmatch(self.table):
            raise SettingsError(
                f"table is {self.table!r}; a name of lower case letters, digits and underscores "
                "was expected, optionally with a schema before it"
            )

    def check(self) -> None:
        self._database().check()

    def _database(self) -> _sqlite.SQLite | _postgres.Postgres:
        address = Url(self.url)
        kind = address.reveal().partition("://")[0].partition("+")[0]
        if kind == "sqlite":
            return _sqlite.SQLite(address, self.table, self.ids, self.publish_seconds)
        if kind in ("postgresql", "postgres"):
            return _postgres.Postgres(
                address, self.table, self.ids, self.lock_seconds, self.publish_seconds
            )
        raise SettingsError(
            f"{address}: recommendations are kept in SQLite (sqlite:///file.db) or PostgreSQL "
            "(postgresql://user@host/database)"
        )

    def _writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> AbstractContextManager[DayWriter]:
        return self._database().writer(day, version, scored_at, resume)

    def delete(self, day: date) -> None:
        self._database().delete(day)

    def dates(self) -> list[date]:
        return self._database().dates()

    def read(self, day: date, user: int | str | None = None) -> pl.DataFrame:
        rows = self._database().read(day, user)
        if rows is None:
            raise self._absent(day)
        return rows

    def holds(self, day: date, version: str) -> bool:
        return self._database().version(day) == version

    def reader(self, seconds: float) -> Reader:
        return self._database().reader(seconds)
