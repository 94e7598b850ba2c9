"""The interface of a source of events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from nearfar.core import discovery, settings
from nearfar.core.errors import DataError, SettingsError
from nearfar.store.event_rows import EventRows
from nearfar.tables.clock import TimeUnit
from nearfar.tables.columns import OPTIONS, Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import RowRules

PACKAGE = __name__.rpartition(".")[0]


class EventSource(ABC):
    """Where the pipeline's events come from: a file format, a database, a service.

    A subclass is a frozen dataclass. It writes `check`, and `read_into`, which adds tables to
    `rows`; the rows become events there, by the rules of `read_log`. A file in
    `nearfar/store/sources` is found by its name, one outside nearfar by its dotted path:
    `kind = "mine.Weeks"`. A field for a setting that this class declares (`columns`,
    `time_unit`, ...) lets users set it; without one, its default holds.

    Raises:
        SettingsError: a setting has the wrong type.

    Examples:
        >>> from nearfar.store.sources.source import EventSource
        >>> from nearfar.tables.frames import frame_table
        >>> from datetime import date, datetime
        >>> @dataclass(frozen=True)
        ... class Weeks(EventSource):
        ...     folder: str
        ...
        ...     def check(self):
        ...         if not Path(self.folder).is_dir():
        ...             raise nf.NearfarError(f"{self.folder} is not a folder")
        ...
        ...     def read_into(self, rows):
        ...         for file in sorted(Path(self.folder).glob("week-*.parquet")):
        ...             rows.add(frame_table(pl.read_parquet(file), str(file)))
        >>> event = {"user": [1], "item": [7], "timestamp": [datetime(2026, 5, 1, 8)]}
        >>> pl.DataFrame(event).write_parquet("week-18.parquet")
        >>> Weeks(".").read(date(2026, 5, 1), date(2026, 5, 2)).height
        1
    """

    columns: Columns = Columns()
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    literal_ids: bool = False
    item_separator: str | None = None

    def __post_init__(self) -> None:
        settings.check(self)

    @property
    def rules(self) -> RowRules:
        """How values are read; what cannot be read is missing, for a contract to judge."""
        return RowRules(
            "null", self.literal_ids, self.time_unit, self.time_format, self.item_separator
        )

    def read(
        self,
        since: date,
        until: date,
        report: ReadReport | None = None,
        *,
        kinds: Mapping[str, float] | None = None,
    ) -> pl.DataFrame:
        """Read the events of the days since <= day < until, all in UTC.

        Columns `user` and `item` (Int64 or String), `timestamp` (Datetime in UTC, whole
        seconds), `rating` and `weight` (Float64) and `kind` (String) where the data has them,
        sorted by time, then user and item, so that the order does not depend on where they lie.
        Rows are read by the rules of `read_log`: the same ids, and the same rows that are no events
        left out and counted in the report.

        Values that cannot be read are missing, and rows without a timestamp belong to every
        window. A partition of the window is read whole, whatever timestamps are in it. All
        that is for a `Contract` to judge.

        Args:
            since, until: the window, [since, until).
            report: filled with what was read and what was left out.
            kinds: the weight of each kind of event, which the weights are multiplied by; events of
                other kinds are left out. None where kinds have no weights.

        Raises:
            SettingsError: the window is empty, or a setting does not lead anywhere.
            MissingExtraError: a library is missing.
            DataError: the data cannot be read; without secrets.
        """
        if since >= until:
            raise SettingsError(f"the window from {since} to {until} holds no day")
        self.check()
        report = report or ReadReport()
        rows = EventRows(self.columns, self.rules, since, until, report, kinds)
        self.read_into(rows)
        if report.counts_steps:
            raise DataError(
                f"the timestamps in {report.columns.get('timestamp')!r} are numbers too small for "
                f"dates, so that no window of days can be read; name another column with "
                f"{OPTIONS['timestamp']} (in settings: columns.timestamp), or what they count with "
                "time_unit"
            )
        return rows.frame()

    @abstractmethod
    def check(self) -> None:
        """Check, without reading any event, that the source can be read.

        `read` calls it first.

        Raises:
            SettingsError: an environment variable is not set, or the URL is invalid.
            MissingExtraError: a library is missing.
            DataError: there is nothing to read.
        """

    @abstractmethod
    def read_into(self, rows: EventRows) -> None:
        """Add the tables that may hold events of the window [rows.since, rows.until) to `rows`.

        `rows.add(table)` recognises the columns and drops the rows outside the window, so that a
        source may add more than the window; what it leaves out need not be read. A table is
        `nearfar.tables.frames.frame_table(frame, where)` of a Polars frame, or one of
        `rows.tables(...)` of a file.

        Args:
            rows: collects the events; messages go to `rows.report`.

        Raises:
            DataError: the data cannot be read; without secrets.
        """


def find_source(name: str) -> type[EventSource]:
    """The kind of source of that name, as "parquet"; or a third party's by its dotted path.

    Raises:
        UnknownNameError: there is none.
    """
    return discovery.find(PACKAGE, EventSource, name)


def make_source(name: str, values: dict[str, Any]) -> EventSource:
    """The source of that kind with these settings.

    Raises:
        SettingsError: a setting is unknown or wrong.

    Examples:
        >>> from nearfar.store.sources.source import make_source
        >>> make_source("parquet", {"path": "events"}).partition
        'date'
    """
    return settings.build(find_source(name), values, "source")
