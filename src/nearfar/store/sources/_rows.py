"""From the tables of a source to one frame of events, whatever held them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import SchemaError
from nearfar.store.contracts import midnight
from nearfar.tables.clock import Clock
from nearfar.tables.columns import EVENT_ROLES, KIND_ROLE, Columns, Role
from nearfar.tables.reader import TableReader
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import RowRules, beyond
from nearfar.tables.table import read_rows

MOMENT = pl.Datetime("us", "UTC")
ID_ROLES = ("user", "item")


class EventRows:
    """Collects the rows of one window, table after table; `frame` hands them out.

    Args:
        columns: names of columns, as far as they are given. The user, item and timestamp columns
            of the first table hold for all that follow.
        rules: how values are read.
        since, until: the window, [since, until).
        report: filled with what was read.
    """

    def __init__(
        self,
        columns: Columns,
        rules: RowRules,
        since: date,
        until: date,
        report: ReadReport,
    ) -> None:
        self._columns = columns
        self._rules = rules
        self._since, self._until = midnight(since), midnight(until)
        self._report = report
        self._clock = Clock("the events", rules.time_unit, rules.time_format)
        self._kinds: dict[str, tuple[pl.DataType, str]] = {}
        self._untyped = False
        self._tables: list[pl.DataFrame] = []

    @property
    def _wanted(self) -> tuple[Role, ...]:
        """The roles that columns may have; kinds of events only where their column is named."""
        return EVENT_ROLES if self._columns.kind is None else (*EVENT_ROLES, KIND_ROLE)

    def roles(self, present: Sequence[str], where: str) -> dict[str, str]:
        """The column of each role.

        Raises:
            SchemaError: the user, the item or the timestamp cannot be told, or a column that an
                earlier table had is missing.
        """
        found = self._columns.resolve(present, where, self._wanted)
        if "timestamp" not in found:
            listed = ", ".join(repr(c) for c in present)
            raise SchemaError(
                f"{where} has no column known as the timestamp; it has {listed}: name one with "
                "columns.timestamp = '...'"
            )
        fixed = {role: found[role] for role in (*ID_ROLES, "timestamp")}
        given = {r: c for r, c in vars(self._columns).items() if c is not None}
        self._columns = Columns(**{**given, **fixed})
        return found

    def learn(self, times: pl.Series) -> str:
        """Learn from some timestamps what numbers count, and return it ("s", "day", ...)."""
        self._clock.read(times)
        return self._clock.unit

    def add(self, table: TableReader, *, whole: bool = False) -> None:
        """Add the rows of a table that lie in the window, or all of them with `whole`.

        Raises:
            SchemaError: a column is missing, or ids are of another kind than before.
            DataError: the table cannot be read.
        """
        roles = self.roles(table.columns, table.where)
        self._untyped |= not table.typed
        blocks = [pl.DataFrame()]
        for rows in read_rows(
            [table], self._wanted, roles, self._rules, self._report, clock=self._clock
        ):
            frame = rows.frame.with_columns(
                pl.from_epoch(pl.col("timestamp"), "s").cast(pl.Datetime("us"))
                .dt.replace_time_zone("UTC"),
                *(self._of_one_kind(rows.frame[r], table) for r in ID_ROLES),
            )  # fmt: skip
            if not whole:
                moment = pl.col("timestamp")
                frame = frame.filter(
                    moment.is_null() | moment.is_between(self._since, self._until, closed="left")
                )
            blocks.append(frame)
        self._tables.append(pl.concat(blocks, how="diagonal_relaxed"))

    def _of_one_kind(self, ids: pl.Series, table: TableReader) -> pl.Series:
        role = ids.name
        if not table.typed:
            return ids.cast(pl.String)
        if ids.null_count() == len(ids):
            return ids.cast(pl.Null)
        kind, first = self._kinds.setdefault(role, (ids.dtype, table.where))
        if kind != ids.dtype:
            told = {pl.Int64: "integers", pl.String: "text"}
            raise SchemaError(
                f"{table.where}: {role} ids are {told[ids.dtype.base_type()]}, in {first} they are "
                f"{told[kind.base_type()]}; make them of one kind"
            )
        return ids

    def frame(self) -> pl.DataFrame:
        """All rows, in an order that depends on their values alone.

        A table without weights counts each row as one event if others have weights. Ratings are
        left out unless all tables have them.

        Raises:
            SchemaError: integer ids are beyond 64 bits.
        """
        tables = [table for table in self._tables if table.height]
        self._tables.clear()
        if not tables:
            return pl.DataFrame(schema={"user": pl.String, "item": pl.String, "timestamp": MOMENT})
        n_weighted = sum("weight" in table.columns for table in tables)
        if 0 < n_weighted < len(tables):
            tables = [
                t if "weight" in t.columns else t.with_columns(weight=pl.lit(1.0)) for t in tables
            ]
            self._report.remarks.append(
                f"{len(tables) - n_weighted} of {len(tables)} tables have no weight: each of their "
                "rows counts as one event"
            )
        n_rated = sum("rating" in table.columns for table in tables)
        if 0 < n_rated < len(tables):
            tables = [t.drop("rating", strict=False) for t in tables]
            self._report.remarks.append(
                f"only {n_rated} of {len(tables)} tables have a rating: ratings are left out"
            )
        rows = pl.concat(tables, how="diagonal_relaxed")
        tables.clear()
        rows = rows.with_columns(self._typed(rows[r]) for r in ID_ROLES)
        rest = [c for c in ("rating", "weight", "kind") if c in rows.columns]
        rows = rows.select("user", "item", "timestamp", *rest)
        return rows.sort("timestamp", "user", "item", *rest)

    def _typed(self, ids: pl.Series) -> pl.Series:
        if ids.dtype == pl.Null:
            return ids.cast(pl.String)
        known = ids.drop_nulls()
        if not self._untyped or ids.dtype != pl.String or not len(known):
            return ids
        if not identity.spells_integers(known):
            return ids
        numbers = identity.integers(ids)
        if numbers.null_count() > ids.null_count():
            raise beyond(ids.name, ids.filter(numbers.is_null() & ids.is_not_null())[0])
        return numbers
