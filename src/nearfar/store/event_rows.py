"""Collect the tables of an event source into one frame of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import polars as pl

from nearfar.core import identity
from nearfar.core.errors import EmptyDataError, SchemaError
from nearfar.data.contradictions import count_contradictions
from nearfar.data.id_remarks import remark_on_totals, remarks_on_ids
from nearfar.data.plain_events import event_filter
from nearfar.store.contracts import midnight
from nearfar.tables.clock import Clock
from nearfar.tables.columns import Columns, quoted
from nearfar.tables.folder import open_tables
from nearfar.tables.list_columns import columns_by_role
from nearfar.tables.moments import with_joined_times
from nearfar.tables.partitions import DAY_OF_FOLDERS
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import OneTimeTable, TableReader
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import event_roles
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions, read_rows

MOMENT = pl.Datetime("us", "UTC")
ID_ROLES = ("user", "item")


class EventRows:
    """Collects the events of a window table by table; `frame` returns them.

    Rows that are not events are left out when they are read, by the rules of `read_log`.

    Args:
        columns: names of columns that are known. All tables must have the user, item and timestamp
            columns of the first.
        rules: how to read values.
        since, until: the window [since, until).
        report: filled with what was read.
        kinds: weight of each kind of event; None if kinds have no weights.

    Attributes:
        since, until: the window [since, until).
        report: the report.
        n_of_folders: number of rows in folders of days.
        n_earlier, n_later: numbers of these whose day (UTC) is the one before, or after, that of
            their folder.

    Examples:
        >>> from nearfar.store.event_rows import EventRows
        >>> from nearfar.tables.columns import Columns
        >>> from nearfar.tables.frames import frame_table
        >>> from nearfar.tables.report import ReadReport
        >>> from nearfar.tables.rules import RowRules
        >>> from datetime import date, datetime
        >>> window = date(2026, 5, 1), date(2026, 5, 2)
        >>> rows = EventRows(Columns(), RowRules("null"), *window, ReadReport())
        >>> times = [datetime(2026, 5, day) for day in (1, 2)]
        >>> events = pl.DataFrame({"user": [1, 1], "item": [7, 8], "timestamp": times})
        >>> rows.add(frame_table(events, "the events"))
        >>> rows.frame()["item"].to_list()
        [7]
    """

    def __init__(
        self,
        columns: Columns,
        rules: RowRules,
        since: date,
        until: date,
        report: ReadReport,
        kinds: Mapping[str, float] | None = None,
    ) -> None:
        self.since, self.until = since, until
        self.report = report
        self._columns = columns
        self._has_time_column = columns.timestamp is not None
        self._rules = rules
        self._roles = event_roles(weighed_kinds=kinds is not None)
        self._event_filter = event_filter(kinds, columns, report)
        self._clock = Clock("the events", rules.time_unit, rules.time_format)
        self._id_types: dict[str, tuple[pl.DataType, str]] = {}
        self._has_untyped = False
        self._mixed_ids: set[str] = set()
        self._tables: list[pl.DataFrame] = []
        self._first: str | None = None
        self._fixed = ""
        self.n_of_folders = self.n_earlier = self.n_later = 0
        report.n_in_window = 0

    def roles(self, table: TableReader) -> dict[str, str]:
        """Return the column of each role in a table.

        Later tables may spell the columns of the first otherwise, as "User_ID" for "user_id".

        Raises:
            SchemaError: the user, item or timestamp is not recognised, or a column that an earlier
                table had is missing.
        """
        present, where = table.columns, table.where
        columns = self._columns if self._first is None else self._columns.spelled_as(present)
        try:
            roles = columns_by_role(table, self._roles, vars(columns))
        except SchemaError as error:
            if self._first in (None, where):
                raise
            raise SchemaError(
                f"{error}; {self._first} has {self._fixed}: write all files with the same columns, "
                "or move this one away if it holds no events"
            ) from None
        if "timestamp" not in roles and DAY_OF_FOLDERS in present:
            roles["timestamp"] = DAY_OF_FOLDERS
        if "timestamp" not in roles:
            raise SchemaError(
                f"{where} has no column known as the timestamp; it has {quoted(present)}: name one "
                "with columns.timestamp = '...'"
            )
        fixed = {role: roles[role] for role in (*ID_ROLES, "timestamp")}
        if self._first is None:
            self._first, self._fixed = where, " and ".join(map(repr, fixed.values()))
        named = {r: c for r, c in vars(columns).items() if c is not None}
        self._columns = Columns(**{**named, **fixed})
        return roles

    def tables(
        self, files: RawFiles, options: ReadOptions, *, alone: bool
    ) -> Sequence[TableReader]:
        """Return the tables of events in a file or archive, as `read_log` finds them.

        Args:
            files: the file.
            options: how to read it.
            alone: whether it is the only file. One of several without any row is left out, with a
                remark.

        Raises:
            DataError: the file has no table, or several that are not parts of one.
        """
        try:
            tables, skipped = open_tables(files, self._roles, vars(self._columns), options)
        except EmptyDataError as error:
            if alone:
                raise
            self.report.remarks.append(f"left out: {error}")
            return ()
        self.report.skipped_files += skipped
        return tables

    def learn(self, times: pl.Series) -> str:
        """Recognise the unit of numeric timestamps by a sample; return it ("s", "day", ...)."""
        return self._clock.learn(times)

    def add(self, table: TableReader, *, day: date | None = None) -> None:
        """Add the rows of a table that lie in the window.

        Args:
            table: the table.
            day: day of the window that the table's folder is named after. Rows that are more than a
                day away from it are added too, for a contract to reject.

        Raises:
            SchemaError: a column is missing, or ids are of another type than before.
            DataError: the table cannot be read.
        """
        roles = self.roles(table)
        if not self._has_time_column and not isinstance(table, OneTimeTable):
            table, roles, remark = with_joined_times(table, roles)
            self.report.remarks += [remark] if remark else []
        self._has_untyped |= not table.typed
        blocks = [pl.DataFrame()]
        names = {role.name: roles.get(role.name, "") for role in self._roles}
        for rows in read_rows(
            [table],
            self._roles,
            names,
            self._rules,
            self.report,
            clock=self._clock,
            contradictions=True,
        ):
            frame = rows.frame.with_columns(
                pl.from_epoch(pl.col("timestamp"), "s").cast(pl.Datetime("us"))
                .dt.replace_time_zone("UTC"),
                *(self._check_id_type(rows.frame[r], table) for r in ID_ROLES),
            )  # fmt: skip
            frame = frame.filter(self._belongs(frame["timestamp"], day))
            blocks.append(self._select_events(frame))
        self._tables.append(pl.concat(blocks, how="diagonal_relaxed"))

    def _belongs(self, times: pl.Series, day: date | None) -> pl.Series:
        """Return which rows of a table are added; see `add`."""
        first, last = map(midnight, (self.since, self.until))
        belongs = times.is_null() | times.is_between(first, last, closed="left")
        if day is None:
            return belongs
        one = timedelta(days=1)
        before, after = midnight(day), midnight(day + one)
        near = times.is_between(before - one, after + one, closed="left")
        self.n_of_folders += len(times)
        self.n_earlier += int((near & (times < before)).sum())
        self.n_later += int((near & (times >= after)).sum())
        return belongs | ~near

    def _select_events(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that are events, with weights by kind if kinds have weights."""
        self.report.n_in_window = (self.report.n_in_window or 0) + frame.height
        events, is_no_event = self._event_filter.read(frame)
        events = count_contradictions(events, is_no_event, self.report)
        if "kind" in frame.columns:  # tells a view from a purchase in the same second
            events = events.with_columns(frame["kind"])
        return events if is_no_event is None else events.filter(~is_no_event)

    def _check_id_type(self, ids: pl.Series, table: TableReader) -> pl.Series:
        """Return the ids, as text from an untyped table.

        Raises:
            SchemaError: they are of another type than in earlier tables.
        """
        role = ids.name
        if not table.typed:
            return ids.cast(pl.String)
        if ids.null_count() == len(ids):
            return ids.cast(pl.Null)
        kind, first = self._id_types.setdefault(role, (ids.dtype, table.where))
        if kind != ids.dtype and not self._are_integers(ids):
            names = {pl.Int64: "integers", pl.String: "text"}
            raise SchemaError(
                f"{table.where}: {role} ids are {names[ids.dtype.base_type()]}, in {first} they "
                f"are {names[kind.base_type()]}; give them one type"
            )
        return ids

    def _are_integers(self, ids: pl.Series) -> bool:
        """Return whether the text ids of this and the earlier tables all spell integers."""
        earlier = (t[ids.name] for t in self._tables if t.height)
        texts = [s.drop_nulls() for s in (ids, *earlier) if s.dtype == pl.String]
        self._mixed_ids.add(ids.name)
        return all(map(identity.spells_integers, texts))

    def frame(self) -> pl.DataFrame:
        """Return all rows, in an order that depends only on their values.

        If some tables have weights, each row of the others has weight 1. Ratings are left out
        unless all tables have them.

        Raises:
            DataError: an id in scientific notation may have lost digits.
        """
        if self.report.n_in_window:
            self._event_filter.check("the events")
        self.report.remarks = list(dict.fromkeys([*self.report.remarks, *self._clock.remarks]))
        tables = [table for table in self._tables if table.height]
        self._tables.clear()
        if not tables:
            return pl.DataFrame(schema={"user": pl.String, "item": pl.String, "timestamp": MOMENT})
        n_weighted = sum("weight" in table.columns for table in tables)
        if 0 < n_weighted < len(tables):
            tables = [
                t if "weight" in t.columns else t.with_columns(weight=pl.lit(1.0)) for t in tables
            ]
            self.report.remarks.append(
                f"{len(tables) - n_weighted} of {len(tables)} tables have no weight: each of their "
                "rows counts as one event"
            )
        n_rated = sum("rating" in table.columns for table in tables)
        if 0 < n_rated < len(tables):
            tables = [t.drop("rating", strict=False) for t in tables]
            self.report.remarks.append(
                f"only {n_rated} of {len(tables)} tables have a rating: ratings are left out"
            )
        rows = pl.concat(tables, how="diagonal_relaxed")
        tables.clear()
        rows = rows.with_columns(self._normalise_ids(rows[r]) for r in ID_ROLES)
        for role in ID_ROLES:
            if rows[role].dtype == pl.String:
                self.report.remarks += self._remarks_on(rows[role].drop_nulls())
        optional = [c for c in ("rating", "weight", "kind") if c in rows.columns]
        rows = rows.select("user", "item", "timestamp", *optional)
        return rows.sort("timestamp", "user", "item", *optional)

    def _remarks_on(self, ids: pl.Series) -> list[str]:
        unique = ids.unique(maintain_order=True)
        totals = remark_on_totals(ids.name, unique, lambda t: int(ids.is_in(t.implode()).sum()))
        return [*remarks_on_ids(ids.name, unique), *([totals] if totals else [])]

    def _normalise_ids(self, ids: pl.Series) -> pl.Series:
        """Return the ids as integers or text, by the rules of `core.identity`."""
        if ids.dtype == pl.Null:
            return ids.cast(pl.String)
        typed = not self._has_untyped and ids.name not in self._mixed_ids
        literal = self._rules.literal_ids
        settled = identity.settled(ids, ids.name, typed=typed, literal=literal)
        if settled is not ids and (rewritten := identity.written_anew(ids)).any():
            example = repr(ids.filter(rewritten).min())
            n = int(rewritten.sum())
            self.report.converted[f"{ids.name} ids such as {example} read as whole numbers"] += n
        return settled
