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
from nearfar.tables.columns import Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import OPTIONS
from nearfar.tables.rules import RowRules
from nearfar.tables.time_units import TimeUnit

PACKAGE = __name__.rpartition(".")[0]


class EventSource(ABC):
    """A source of a pipeline's events: a file format, a database or a service.

    A subclass is a frozen dataclass that implements `check` and `read_into`. The latter adds tables
    to `rows`, which turns them into events by the rules of `read_log`. A file in
    `nearfar/store/sources` is found by its name, one outside nearfar by its dotted path:
    `kind = "mine.Weeks"`. Users can set a setting of this class (`columns`, `time_unit`, ...) if
    the subclass declares it as a field; otherwise its default holds.

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
        """How to read values; unreadable ones become missing, for a contract to check."""
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
        """Read the events of the days since <= day < until, in UTC.

        The columns are `user` and `item` (Int64 or String), `timestamp` (Datetime in UTC, whole
        seconds) and, if the data have them, `rating` and `weight` (Float64) and `kind` (String).
        Rows are sorted by time, user and item, so that the order does not depend on the files.
        They are read by the rules of `read_log`: the ids are the same, and the same rows are left
        out as not events and counted in the report.

        Unreadable values are missing, rows without a timestamp belong to every window, and so do
        rows of a day's folder that are more than a day away from that day. A `Contract` checks
        that.

        Args:
            since, until: the window [since, until).
            report: filled with what was read and what was left out.
            kinds: factor of each kind of event on the weights; events of other kinds are left out.
                None if kinds have no weights.

        Raises:
            SettingsError: the window is empty, or a setting is wrong.
            MissingExtraError: a library is not installed.
            DataError: the data cannot be read; the message contains no secrets.
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
                f"{OPTIONS['timestamp']} (in settings: columns.timestamp), or set their unit with "
                "time_unit"
            )
        return rows.frame()

    @abstractmethod
    def check(self) -> None:
        """Check, without reading any event, that the source can be read; `read` calls it first.

        Raises:
            SettingsError: an environment variable is not set, or the URL is invalid.
            MissingExtraError: a library is not installed.
            DataError: there is nothing to read.
        """

    @abstractmethod
    def read_into(self, rows: EventRows) -> None:
        """Add the tables that may hold events of the window [rows.since, rows.until) to `rows`.

        `rows.add(table)` recognises the columns and drops the rows outside the window, so a source
        may add more rows than that. A table is `nearfar.tables.frames.frame_table(frame, where)` of
        a Polars frame, or one of `rows.tables(...)` of a file.

        Args:
            rows: collects the events; messages go to `rows.report`.

        Raises:
            DataError: the data cannot be read; the message contains no secrets.
        """


def find_source(name: str) -> type[EventSource]:
    """Return the class of a source by its name, such as "parquet", or by its dotted path.

    Raises:
        UnknownNameError: no source has that name.
    """
    return discovery.find(PACKAGE, EventSource, name)


def make_source(name: str, values: dict[str, Any]) -> EventSource:
    """Build the source of a name with its settings.

    Raises:
        SettingsError: a setting is unknown or wrong.

    Examples:
        >>> from nearfar.store.sources.source import make_source
        >>> make_source("parquet", {"path": "events"}).partition
        'date'
    """
    return settings.build(find_source(name), values, "source")
