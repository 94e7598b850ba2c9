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
    """Recommendations in a table of SQLite or PostgreSQL, with its tables of service beside it.

    Columns: `date`, `user_id`, `rank`, `item_id`, `score`, `model_version`, `scored_at`; one index
    finds a user of a day. `TABLE_days` tells which days are published, with version and number of
    rows: `WHERE date = (SELECT max(date) FROM recommendations_days)` reads the latest.

    SQLite: parts go to a table beside, and one transaction replaces the day; readers are not
    stopped meanwhile (write-ahead log).

    PostgreSQL: a day is a partition. Parts go by COPY to a table of their own, which gets its
    index, and then one transaction of milliseconds drops the old partition and attaches the new
    one. That needs the table for itself: it waits for readers `lock_seconds` at a time, so that
    none waits longer behind it, and tries again for `publish_seconds`. Readers under READ
    COMMITTED, the default, see the old day or the new; a transaction under REPEATABLE READ that
    began while parts were written, and looks at the table only after they are published, may see
    too few rows, as after any TRUNCATE.

    Args:
        url: `sqlite:///recommendations.db` or `postgresql://user:${PGPASSWORD}@host/database`;
            `${NAME}` stands for an environment variable, and passwords are never shown.
        table: its name, perhaps with its schema ("shop.recommendations"); lower case, at most 31
            characters.
        ids: whether ids are kept as "text" or "integer"; fixed once the table is made.
        lock_seconds: how long readers may be kept waiting at once.
        publish_seconds: after which time without the table publishing fails.

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
                "was expected, perhaps with a schema before it"
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
        found = self._database().read(day, user)
        if found is None:
            raise self._absent(day)
        return found

    def holds(self, day: date, version: str) -> bool:
        return self._database().version(day) == version

    def reader(self, seconds: float) -> Reader:
        return self._database().reader(seconds)
