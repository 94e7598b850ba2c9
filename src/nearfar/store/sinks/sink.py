"""The interfaces of a sink of recommendations, and of the writer of one day."""

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
    """Writes the rows of one day part by part; `RecommendationSink.writing` returns one.

    A part is durable once `write` returns, but readers do not see it before the day is published.

    Args:
        day: day of the rows.
        version: version of the model, for rows without `model_version`.
        scored_at: time of scoring, for rows without `scored_at`.
        ids: type of the stored ids, text or integer.
    """

    def __init__(self, day: date, version: str, scored_at: datetime, ids: IdKind) -> None:
        self.day = day
        self.version = version
        self.scored_at = scored_at
        self._ids: IdKind = ids

    @property
    @abstractmethod
    def parts(self) -> list[int]:
        """The numbers of the durable parts, in order, including those of earlier runs."""

    def write(self, rows: pl.DataFrame, part: int | None = None) -> None:
        """Add a part.

        Args:
            rows: columns `user`, `rank` (from 1), `item`, `score`, and optionally `model_version`
                and `scored_at`; other columns are left out.
            part: number by which a resumed run recognises the part; by default the next.

        Raises:
            DataError: a value is missing or cannot be stored, or the part is written already.
        """
        written = self.parts
        number = (max(written) + 1 if written else 0) if part is None else part
        if number in written or number < 0:
            raise DataError(
                f"part {number} of {self.day} is written already; skip the numbers in `parts`"
                if number >= 0
                else f"part is {number}; at least 0 was expected"
            )
        frame = canonical(rows, self._ids, self.version, self.scored_at)
        self._stage(frame, number)

    @abstractmethod
    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        """Store a part durably."""

    @abstractmethod
    def publish(self) -> None:
        """Replace the day that readers see by all parts, atomically; `writing` calls it.

        Raises:
            DataError: there are no rows, or a user has two items at one rank.
        """


class RecommendationSink(ABC):
    """A sink of recommendations; subclasses are frozen dataclasses, found by their file's name.

    Publishing a day is atomic: a reader sees the state before or the complete new day. Publishing a
    day again replaces it. Only one process at a time may write a day.

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
        """Write the recommendations of a day, and publish it if the block ends without an error.

        ```python
        with sink.writing(date(2024, 5, 1), "pia-7", resume=True) as writer:
            for part, users in enumerate(shards):
                if part not in writer.parts:
                    writer.write(score(users), part)
        ```

        Args:
            day: day of the recommendations, which may be in the future.
            version: version of the model.
            scored_at: time of scoring; by default now.
            resume: keep the parts that an interrupted run of this day and version has written;
                otherwise they are dropped.

        Raises:
            DataError: the sink cannot be written, or the rows are invalid.
            SettingsError: the version does not have 1 to 100 characters.
        """
        if not 1 <= len(version) <= MAX_VERSION or "\0" in version:
            raise SettingsError(f"version is {version!r}; 1 to {MAX_VERSION} characters expected")
        time = datetime.now(UTC) if scored_at is None else scored_at
        if time.tzinfo is None:
            raise SettingsError(f"scored_at is {time}, without a time zone; add one, such as UTC")
        self.check()
        with self._writer(day, version, time.astimezone(UTC), resume) as writer:
            yield writer
            writer.publish()

    @abstractmethod
    def check(self) -> None:
        """Check the settings without opening the sink.

        Raises:
            SettingsError: an environment variable is not set, or the URL is invalid.
            MissingExtraError: a library is not installed.
        """

    @abstractmethod
    def _writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> AbstractContextManager[DayWriter]:
        """Open a writer of a day."""

    @abstractmethod
    def delete(self, day: date) -> None:
        """Withdraw a day and drop its unpublished parts; the day need not exist."""

    @abstractmethod
    def dates(self) -> list[date]:
        """Return the published days, in order."""

    @abstractmethod
    def read(self, day: date, user: int | str | None = None) -> pl.DataFrame:
        """Return the recommendations of a day, of one user or all, sorted by user and rank.

        The columns are `user`, `rank` (Int32), `item`, `score` (Float32), `model_version` and
        `scored_at`. A user without recommendations has no rows.

        Raises:
            DataError: the day is not published.
        """

    def holds(self, day: date, version: str) -> bool:
        """Return whether a day is published and was written as this version.

        Args:
            day: the day.
            version: the version, as for `writing`.
        """
        return day in self.dates() and bool((self.read(day)["model_version"] == version).all())

    def reader(self, seconds: float) -> Reader:
        """Return a reader of this sink for one thread of a service; it opens nothing yet.

        Args:
            seconds: time limit of a read, if the store supports one.
        """
        return _SinkReader(self)

    def _absent(self, day: date) -> DataError:
        days = self.dates()
        text = f"{len(days)} days from {days[0]} to {days[-1]} are" if days else "none is"
        return DataError(f"no recommendations of {day} are published; {text}")


class _SinkReader(Reader):
    """Reads through `RecommendationSink.read`, for a sink without its own reader."""

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
    """Return the class of a sink by its name, such as "parquet", or by its dotted path.

    Raises:
        UnknownNameError: no sink has that name.
    """
    return discovery.find(PACKAGE, RecommendationSink, name)


def make_sink(name: str, values: dict[str, Any]) -> RecommendationSink:
    """Build the sink of a name with its settings.

    Raises:
        SettingsError: a setting is unknown or wrong.

    Examples:
        >>> from nearfar.store.sinks.sink import make_sink
        >>> make_sink("parquet", {"path": "recommendations"}).ids
        'text'
    """
    return settings.build(find_sink(name), values, "sink")
