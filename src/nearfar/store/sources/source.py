"""The interface of a source of events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from nearfar.core import discovery, settings
from nearfar.core.errors import DataError, SettingsError
from nearfar.store.sources._rows import EventRows
from nearfar.tables.clock import TimeUnit
from nearfar.tables.columns import OPTIONS, Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import RowRules

PACKAGE = __name__.rpartition(".")[0]


class EventSource(ABC):
    """Where events come from; subclasses are frozen dataclasses, found by their file's name.

    Raises:
        SettingsError: a setting has the wrong type.

    Examples:
        >>> from nearfar.store.sources.source import EventSource
        >>> from nearfar.store.sources.source import make_source
        >>> isinstance(make_source("csv", {"path": "events.csv"}), EventSource)
        True
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
        self._read(rows)
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
        """What can be checked without reading.

        Raises:
            SettingsError: an environment variable is not set, or the URL is invalid.
            MissingExtraError: a library is missing.
        """

    @abstractmethod
    def _read(self, rows: EventRows) -> None:
        """Add the tables that hold events of the window from `rows.since` to `rows.until`."""


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
