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
from nearfar.store.sources._sql_window import bounds_of, typical_timestamp
from nearfar.store.sources.source import EventSource
from nearfar.tables.clock import Clock
from nearfar.tables.columns import Columns
from nearfar.tables.contradiction_columns import contradiction_roles
from nearfar.tables.reader import Numbers, OneTimeTable
from nearfar.tables.time_units import TimeUnit
from nearfar.tables.written_dates import reason_unread

if TYPE_CHECKING:
    from sqlalchemy import Connection, FromClause

QUOTED_TABLE = re.compile(r'(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)')
"""A table with an optional schema, each of them with or without double quotes."""
SAMPLE_ROWS = 1000
"""Number of timestamps to read to recognise their format."""


@dataclass(frozen=True)
class SQLEvents(EventSource):
    """Events in a table of a database, or the result of a query.

    The database filters by time and can use an index on the timestamp; rows are fetched in chunks.
    Timestamps are datetimes (in UTC if without a zone), dates, numbers or ISO text. Tested with
    SQLite and PostgreSQL; other databases of SQLAlchemy should work.

    Args:
        url: URL for SQLAlchemy: `sqlite:///events.db`,
            `postgresql://nearfar:${PGPASSWORD}@host/shop`; `${NAME}` is an environment variable,
            and passwords are never shown.
        table: name of a table or view, optionally with its schema ("shop.events"). A name with a
            dot in it is quoted as in SQL ('"shop.events"').
        query: a SELECT instead of a table; the time window is applied to its result.
        columns: names of columns; by default recognised by usual names.
        time_unit: unit of numeric timestamps since 1970; "auto" recognises it by the largest.
        time_format: strptime format of text times; recognised by default.
        literal_ids: read NA, NULL, None and the like as ids instead of missing values.
        chunk_rows: number of rows to fetch at a time.

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
                f"{Url(self.url)} is not the URL of a database; "
                "sqlite:///events.db or postgresql://user@host/database was expected"
            )
        if is_postgres(revealed):
            require("psycopg", extra="sql", purpose="reading events from PostgreSQL")

    def read_into(self, rows: EventRows) -> None:
        where = self.table or "the query"
        with _connected(Url(self.url)) as connection:
            names = _column_names(connection, events := self._events())
            roles = rows.roles(_QueryResult(where, names, {}, iter(())))
            against = contradiction_roles(names, roles.values())
            roles |= {role.name: column for role, column in against.items()}
            chunks = self._fetch(connection, events, roles, rows)
            rows.add(_QueryResult(where, names, roles, chunks))

    def _events(self) -> FromClause:
        from sqlalchemy import table, text

        if self.table is not None:
            schema, name = _table_name(self.table)
            return table(name, schema=schema)
        query = (self.query or "").strip().rstrip(";").replace(":", "\\:")
        # The line end ends a comment, which would hide the bracket after the query.
        return text(query + "\n").columns().subquery("events")

    def _fetch(
        self,
        connection: Connection,
        events: FromClause,
        roles: dict[str, str],
        rows: EventRows,
    ) -> Iterator[Sequence[Any]]:
        from sqlalchemy import and_, column, or_, select, true

        time = column(roles["timestamp"])
        sample = select(time).select_from(events).where(time.is_not(None)).limit(SAMPLE_ROWS)
        times = list(connection.execute(sample).scalars())
        condition = time.is_(None)
        if times:
            sampled = pl.Series("timestamp", list(map(_naive_utc, times)), strict=False)
            unit = rows.learn(sampled)
            example = typical_timestamp(times)
            bounds = bounds_of(example, unit, rows.since, rows.until, self.time_format)
            if bounds is None:
                clock = Clock(self.table or "the query", self.time_unit, self.time_format)
                if clock.read(sampled).bad.all():
                    reason = reason_unread(pl.Series([example])) or "it is not read as a time"
                    raise SchemaError(
                        f"a timestamp is {example!r}, which the database cannot order by time, and "
                        f"{reason}; give a query that casts it to a timestamp"
                    )
                condition = true()
                rows.report.remarks.append(
                    f"the database cannot order times such as {example!r}, so all rows are read; "
                    "if there are many, give a query that casts them to a timestamp"
                )
            else:
                condition = or_(condition, and_(time >= bounds.first, time < bounds.last))
                if bounds.least is not None:
                    # The contract checks values that are not times of this form.
                    condition = or_(condition, time < bounds.least, time >= bounds.most)
        columns = [column(c).label(f"column_{at}") for at, c in enumerate(roles.values())]
        query = select(*columns).select_from(events).where(condition)
        options = {"yield_per": self.chunk_rows}
        yield from connection.execute(query, execution_options=options).partitions()


class _QueryResult(OneTimeTable):
    """The rows of a query, read as they are fetched."""

    def __init__(
        self,
        where: str,
        names: list[str],
        roles: dict[str, str],
        chunks: Iterator[Sequence[Any]],
    ) -> None:
        self.where, self.columns = where, names
        self._roles, self._chunks = roles, chunks

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        first = 1
        for rows in self._chunks:
            by_column = zip(self._roles.items(), zip(*rows, strict=True), strict=True)
            yield pl.DataFrame([
                _series(role, column, values, self.where) for (role, column), values in by_column
            ]), first  # fmt: skip
            first += len(rows)


@contextmanager
def _connected(address: Url) -> Iterator[Connection]:
    """Open a connection for reading.

    Raises:
        DataError: the connection or the reading fails; the message contains no secrets.
    """
    from sqlalchemy import create_engine, event, make_url
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

    with address.errors("be understood", SQLAlchemyError, ValueError):
        url = make_url(address.for_database())
    with address.errors("read it", SQLAlchemyError, ImportError):
        on_disk = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        if on_disk and not Path(str(url.database)).is_file():  # SQLite would create an empty one
            raise DataError(f"{address}: the file does not exist")
        if is_postgres(url.drivername):
            url = url.set(drivername="postgresql+psycopg")
        with address.errors("load the driver; install it", ImportError, NoSuchModuleError):
            url.get_dialect().import_dbapi()
        engine = create_engine(url, hide_parameters=True)
        if is_postgres(url.drivername):
            event.listen(engine, "connect", _set_utc)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _table_name(text: str) -> tuple[str | None, str]:
    """Return schema and name of a table, whose parts may be in double quotes."""
    parts = QUOTED_TABLE.fullmatch(text)
    if parts is None:
        schema, _, name = text.rpartition(".")
        return schema or None, name
    schema, name = (None if p is None else p[1:-1].replace('""', '"') if p[0] == '"' else p
                    for p in parts.groups())  # fmt: skip
    return schema, str(name)


def is_postgres(url: str) -> bool:
    """Return whether a URL is one of PostgreSQL, with any driver."""
    return url.partition("://")[0].partition("+")[0] in ("postgresql", "postgres")


def _set_utc(connection: Any, _: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
    connection.commit()


def _column_names(connection: Connection, events: FromClause) -> list[str]:
    from sqlalchemy import false, literal_column, select

    probe = select(literal_column("*")).select_from(events).where(false())
    return list(connection.execute(probe).keys())


def _series(role: str, column: str, values: Sequence[Any], where: str) -> pl.Series:
    """Convert the values of a database to a column.

    Raises:
        SchemaError: the values are of several types, or of one that the role cannot have.
    """
    plain = [PLAIN.get(role, _word)(v) for v in values]
    kinds = {type(v) for v in plain} - {type(None)}
    if kinds & {bytes, bytearray, memoryview}:
        raise SchemaError(f"{where}: the {role} is binary; write it as text in a query, as by hex")
    if kinds == {int, float}:
        plain = [None if v is None else float(v) for v in plain]
    elif len(kinds) > 1:
        names = ", ".join(sorted(k.__name__ for k in kinds))
        raise SchemaError(f"{where}: the {role} is of several types ({names}); cast it in a query")
    try:
        return pl.Series(column, plain)
    except (TypeError, OverflowError, PolarsError):
        raise SchemaError(
            f"{where}: the {role} holds a {kinds.pop().__name__} that is neither text nor a "
            "64-bit number nor a datetime; cast it in a query"
        ) from None


def _id_value(value: Any) -> Any:
    return str(value) if isinstance(value, UUID) else value


def _naive_utc(value: Any) -> Any:
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
    "user": _id_value, "item": _id_value, "timestamp": _naive_utc, "rating": _number,
    "weight": _number,
}  # fmt: skip
