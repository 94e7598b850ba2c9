"""The interface of a source of events."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import date
from typing import Any

import polars as pl

from nearfar.core import discovery, settings
from nearfar.core.errors import SettingsError
from nearfar.tables.clock import TimeUnit
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

    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    literal_ids: bool = False

    def __post_init__(self) -> None:
        settings.check(self)

    @property
    def rules(self) -> RowRules:
        """How values are read; what cannot be read is missing, for a contract to judge."""
        return RowRules("null", self.literal_ids, self.time_unit, self.time_format)

    def read(self, since: date, until: date, report: ReadReport | None = None) -> pl.DataFrame:
        """Read the events of the days since <= day < until, all in UTC.

        Columns `user` and `item` (Int64 or String), `timestamp` (Datetime in UTC, whole
        seconds), `rating` and `weight` (Float64) where the data has them, and `kind` (String) where
        the source's columns name it, sorted by time, then
        user and item, so that the order does not depend on where they lie. Ids are integers or
        text by the rules of `nearfar.data`.

        Values that cannot be read are missing, and rows without a timestamp belong to every
        window. A partition of the window is read whole, whatever timestamps are in it. All
        that is for a `Contract` to judge.

        Raises:
            SettingsError: the window is empty, or a setting does not lead anywhere.
            MissingExtraError: a library is missing.
            DataError: the data cannot be read; without secrets.
        """
        if since >= until:
            raise SettingsError(f"the window from {since} to {until} holds no day")
        self.check()
        return self._read(since, until, report or ReadReport())

    @abstractmethod
    def check(self) -> None:
        """What can be checked without reading.

        Raises:
            SettingsError: an environment variable is not set, or the URL is invalid.
            MissingExtraError: a library is missing.
        """

    @abstractmethod
    def _read(self, since: date, until: date, report: ReadReport) -> pl.DataFrame:
        """`read`, of a window that holds a day, after `check`."""


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
    return settings.build(find_source(name), values)
