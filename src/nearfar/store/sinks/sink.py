"""The interface of a sink of recommendations, and of what writes one day into it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from nearfar.core import discovery, settings
from nearfar.core.errors import DataError, SettingsError
from nearfar.store.reader import Reader, StoredRecommendation
from nearfar.store.sinks._rows import IdKind, canonical

PACKAGE = __name__.rpartition(".")[0]
MAX_VERSION = 100


class DayWriter(ABC):
    """Writes the rows of one day, part by part; `RecommendationSink.writing` makes one.

    A part is safe once `write` returns: it survives the process, though nobody reads it before
    the whole day is published.

    Args:
        day: the day that the rows are of.
        version: which model they come from, where they do not say so themselves.
        scored_at: when they were computed, likewise.
        ids: whether ids are written as text or integers.
    """

    def __init__(self, day: date, version: str, scored_at: datetime, ids: IdKind) -> None:
        self.day = day
        self.version = version
        self.scored_at = scored_at
        self._ids: IdKind = ids

    @property
    @abstractmethod
    def parts(self) -> list[int]:
        """The numbers of the parts that are safe, in order, those of earlier runs too."""

    def write(self, rows: pl.DataFrame, part: int | None = None) -> None:
        """Add a part.

        Args:
            rows: columns `user`, `rank` (from 1), `item`, `score`, and where rows differ in
                these, `model_version` and `scored_at`; other columns are left out.
            part: its number, by which a run that goes on knows it; by default the next.

        Raises:
            DataError: a value is missing or cannot be kept, or there is such a part already.
        """
        written = self.parts
        number = (max(written) + 1 if written else 0) if part is None else part
        if number in written or number < 0:
            raise DataError(
                f"part {number} of {self.day} is written already; leave it out, as `parts` tells"
                if number >= 0
                else f"part is {number}; at least 0 was expected"
            )
        frame = canonical(rows, self._ids, self.version, self.scored_at)
        self._stage(frame, number)

    @abstractmethod
    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        """Keep a part safe."""

    @abstractmethod
    def publish(self) -> None:
        """Make all parts the day that readers see, at once; `writing` calls it.

        Raises:
            DataError: there are no rows, or a user has two items at one rank.
        """


class RecommendationSink(ABC):
    """Where recommendations go; subclasses are frozen dataclasses, found by their file's name.

    A day is published whole: a reader sees what was there before or all of the new day.
    Publishing a day again replaces it. One process at a time may write a day.

    Raises:
        SettingsError: a setting has the wrong type.

    Examples:
        >>> from nearfar.store.sinks.sink import RecommendationSink
        >>> from nearfar.store.sinks.sink import make_sink
        >>> isinstance(make_sink("parquet", {"path": "recommendations"}), RecommendationSink)
        True
    """

    ids: IdKind

    def __post_init__(self) -> None:
        settings.check(self)

    @contextmanager
    def writing(
        self,
        day: date,
        version: str,
        *,
        scored_at: datetime | None = None,
        resume: bool = False,
    ) -> Iterator[DayWriter]:
        """Write the recommendations of a day; published when the block ends without an error.

        ```python
        with sink.writing(date(2024, 5, 1), "pia-7", resume=True) as writer:
            for part, users in enumerate(shards):
                if part not in writer.parts:
                    writer.write(score(users), part)
        ```

        Args:
            day: any day; a run may write that of tomorrow.
            version: which model the rows come from.
            scored_at: when they were computed; now, by default.
            resume: go on with the parts that a broken run of this day and version left behind;
                otherwise they are dropped.

        Raises:
            DataError: the sink cannot be written, or the rows are not what they must be.
            SettingsError: the version is no text of 1 to 100 characters.
        """
        if not 1 <= len(version) <= MAX_VERSION or "\0" in version:
            raise SettingsError(f"version is {version!r}; 1 to {MAX_VERSION} characters expected")
        stamp = datetime.now(UTC) if scored_at is None else scored_at
        if stamp.tzinfo is None:
            raise SettingsError(f"scored_at is {stamp}, of no time zone; give one, as UTC")
        self.check()
        with self._writer(day, version, stamp.astimezone(UTC), resume) as writer:
            yield writer
            writer.publish()

    @abstractmethod
    def check(self) -> None:
        """What can be checked without touching the sink.

        Raises:
            SettingsError: an environment variable is not set, or the URL is invalid.
            MissingExtraError: a library is missing.
        """

    @abstractmethod
    def _writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> AbstractContextManager[DayWriter]:
        """What writes a day."""

    @abstractmethod
    def delete(self, day: date) -> None:
        """Withdraw a day, and drop the parts of it that were never published; none is fine."""

    @abstractmethod
    def dates(self) -> list[date]:
        """The days that are published, in order."""

    @abstractmethod
    def read(self, day: date, user: int | str | None = None) -> pl.DataFrame:
        """The recommendations of a day, of one user or all, by user and rank.

        Columns `user`, `rank` (Int32), `item`, `score` (Float32), `model_version`, `scored_at`;
        no rows for a user who has none.

        Raises:
            DataError: the day is not published.
        """

    def holds(self, day: date, version: str) -> bool:
        """Return whether what readers see of a day was written as this version.

        Args:
            day: the day.
            version: as of `writing`.
        """
        return day in self.dates() and bool((self.read(day)["model_version"] == version).all())

    def reader(self, seconds: float) -> Reader:
        """Return a reader of this sink for one thread of a service; it opens nothing yet.

        Args:
            seconds: how long a read may take, where the store can limit that.
        """
        return _ByDay(self)

    def _absent(self, day: date) -> DataError:
        days = self.dates()
        told = f"{len(days)} days from {days[0]} to {days[-1]} are" if days else "none is"
        return DataError(f"no recommendations of {day} are published; {told}")


class _ByDay(Reader):
    """The reader of a sink that has no reader of its own."""

    def __init__(self, sink: RecommendationSink) -> None:
        self._sink = sink

    def latest(self) -> date | None:
        return max(self._sink.dates(), default=None)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        result = {}
        for user in users:
            try:
                rows = self._sink.read(day, user)
            except DataError:
                if day in self._sink.dates():
                    raise
                return None
            columns = rows.select("rank", "item", "score", "model_version", "scored_at")
            if rows.height:
                result[user] = [StoredRecommendation(*row) for row in columns.iter_rows()]
        return result


def find_sink(name: str) -> type[RecommendationSink]:
    """The kind of sink of that name, as "parquet"; or a third party's by its dotted path.

    Raises:
        UnknownNameError: there is none.
    """
    return discovery.find(PACKAGE, RecommendationSink, name)


def make_sink(name: str, values: dict[str, Any]) -> RecommendationSink:
    """The sink of that kind with these settings.

    Raises:
        SettingsError: a setting is unknown or wrong.

    Examples:
        >>> from nearfar.store.sinks.sink import make_sink
        >>> make_sink("parquet", {"path": "recommendations"}).ids
        'text'
    """
    return settings.build(find_sink(name), values, "sink")
