"""Events in a database."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.core.extras import require
from nearfar.core.ranges import PositiveInt
from nearfar.core.secrets import Url
from nearfar.store.event_rows import EventRows
from nearfar.store.sources._sql_window import bounds_of, typical
from nearfar.store.sources.source import EventSource
from nearfar.tables.clock import TimeUnit
from nearfar.tables.columns import Columns
from nearfar.tables.contrary import contrary_roles
from nearfar.tables.reader import Numbers, OneTimeTable

if TYPE_CHECKING:
    from sqlalchemy import Connection, FromClause

SAMPLE_ROWS = 1000
"""Timestamps that are read to recognise their format."""


@dataclass(frozen=True)
class SQLEvents(EventSource):
    """Events in a table of a database, or what a query finds.

    The database filters by time, which uses an index on the timestamp; rows come in chunks.
    Timestamps are moments (UTC without a zone), dates, numbers or ISO text. Tested with SQLite and
    PostgreSQL; others that SQLAlchemy knows should do.

    Args:
        url: as SQLAlchemy takes it: `sqlite:///events.db`,
            `postgresql://nearfar:${PGPASSWORD}@host/shop`; `${NAME}` stands for an environment
            variable, and passwords are never shown.
        table: the name of a table or view, perhaps with its schema ("shop.events").
        query: in its place, a SELECT; the time window is put around it.
        columns: names of columns; by default told by usual names.
        time_unit: what numbers in the timestamp count since 1970; "auto" tells it by the largest.
        time_format: how text times are written, for strptime; recognised by default.
        literal_ids: take NA, NULL, None and the like for ids, not for missing ones.
        chunk_rows: how many rows are fetched at a time.

    Examples:
        >>> from nearfar.store.sources.sql import SQLEvents
        >>> source = SQLEvents("sqlite:///shop.db", table="events")
    """

    url: str
    table: str | None = None
    query: str | None = None
    columns: Columns = field(default_factory=Columns)
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    literal_ids: bool = False
    chunk_rows: PositiveInt = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "url", Url(self.url))
        if (self.table is None) == (self.query is None):
            raise SettingsError("an SQL source needs either a table or a query")

    def check(self) -> None:
        require("sqlalchemy", extra="sql", purpose="reading events from a database")
        revealed = Url(self.url).for_database()
        if not re.match(r"\w+(\+\w+)?://", revealed):
            raise SettingsError(
                f"{Url(self.url)} is no address of a database; "
                "sqlite:///events.db or postgresql://user@host/database was expected"
            )
        if is_postgres(revealed):
            require("psycopg", extra="sql", purpose="reading events from PostgreSQL")

    def read_into(self, rows: EventRows) -> None:
        where = self.table or "the query"
        with _connected(Url(self.url)) as connection:
            names = _names(connection, events := self._events())
            roles = rows.roles(names, where)
            against = contrary_roles(names, set(roles.values()), ())
            roles |= {role.name: column for role, column in against.items()}
            rows.add(_Fetched(where, names, roles, self._fetched(connection, events, roles, rows)))

    def _events(self) -> FromClause:
        from sqlalchemy import table, text

        if self.table is not None:
            schema, _, name = self.table.rpartition(".")
            return table(name, schema=schema or None)
        query = (self.query or "").strip().rstrip(";").replace(":", "\\:")
        return text(query).columns().subquery("events")

    def _fetched(
        self,
        connection: Connection,
        events: FromClause,
        roles: dict[str, str],
        rows: EventRows,
    ) -> Iterator[Sequence[Any]]:
        from sqlalchemy import and_, column, or_, select

        moment = column(roles["timestamp"])
        some = select(moment).select_from(events).where(moment.is_not(None)).limit(SAMPLE_ROWS)
        times = list(connection.execute(some).scalars())
        inside = moment.is_(None)
        if times:
            unit = rows.learn(pl.Series("timestamp", list(map(_moment, times)), strict=False))
            bounds = bounds_of(typical(times), unit, rows.since, rows.until)
            inside = or_(inside, and_(moment >= bounds.first, moment < bounds.last))
            if bounds.least is not None:
                # What is no such time at all is for the contract to judge.
                inside = or_(inside, moment < bounds.least, moment >= bounds.most)
        chosen = [column(c).label(f"column_{at}") for at, c in enumerate(roles.values())]
        wanted = select(*chosen).select_from(events).where(inside)
        options = {"yield_per": self.chunk_rows}
        yield from connection.execute(wanted, execution_options=options).partitions()


class _Fetched(OneTimeTable):
    """Rows of a database as they are fetched."""

    def __init__(
        self,
        where: str,
        names: list[str],
        roles: dict[str, str],
        fetched: Iterator[Sequence[Any]],
    ) -> None:
        self.where, self.columns = where, names
        self._roles, self._fetched = roles, fetched

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        first = 1
        for rows in self._fetched:
            values = zip(self._roles.items(), zip(*rows, strict=True), strict=True)
            yield pl.DataFrame([
                _series(role, column, found, self.where) for (role, column), found in values
            ]), first  # fmt: skip
            first += len(rows)


@contextmanager
def _connected(address: Url) -> Iterator[Connection]:
    """A connection for reading.

    Raises:
        DataError: there is none, or the reading fails; without secrets.
    """
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import SQLAlchemyError

    with address.errors("be understood", SQLAlchemyError, ValueError):
        url = make_url(address.for_database())
    with address.errors("read it", SQLAlchemyError, ImportError):
        on_disk = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        if on_disk and not Path(str(url.database)).is_file():  # which SQLite would make, empty
            raise DataError(f"{address}: the file does not exist")
        if is_postgres(url.drivername):
            url = url.set(drivername="postgresql+psycopg")
        engine = create_engine(url, hide_parameters=True)
        if is_postgres(url.drivername):
            event.listen(engine, "connect", _set_utc)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def is_postgres(url: str) -> bool:
    """Whether an address is one of PostgreSQL, whatever driver it names."""
    return url.partition("://")[0].partition("+")[0] in ("postgresql", "postgres")


def _set_utc(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _names(connection: Connection, events: FromClause) -> list[str]:
    from sqlalchemy import false, literal_column, select

    probe = select(literal_column("*")).select_from(events).where(false())
    return list(connection.execute(probe).keys())


def _series(role: str, column: str, values: Sequence[Any], where: str) -> pl.Series:
    """Values as a database hands them out, as a column.

    Raises:
        SchemaError: the values are of several kinds, or of none that the role can have.
    """
    plain = [PLAIN.get(role, _word)(v) for v in values]
    kinds = {type(v) for v in plain} - {type(None)}
    if kinds == {int, float}:
        plain = [None if v is None else float(v) for v in plain]
    elif len(kinds) > 1:
        told = ", ".join(sorted(k.__name__ for k in kinds))
        raise SchemaError(f"{where}: the {role} is of several kinds ({told}); cast it in a query")
    try:
        return pl.Series(column, plain)
    except (TypeError, OverflowError, PolarsError):
        raise SchemaError(
            f"{where}: the {role} holds a {kinds.pop().__name__} that is neither text nor a "
            "number of 64 bits nor a moment"
        ) from None


def _id(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _moment(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return float(value) if isinstance(value, Decimal) else value


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _word(value: Any) -> str | None:
    return None if value is None else str(value)


PLAIN = {
    "user": _id, "item": _id, "timestamp": _moment, "rating": _number, "weight": _number,
}  # fmt: skip
