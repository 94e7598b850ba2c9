"""Recommendations in folders of Parquet files, one per day."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.secrets import Url
from nearfar.store.reader import Reader, StoredRecommendation, UnreachableError
from nearfar.store.sinks._parquet_day import PREFIX, DayFolders
from nearfar.store.sinks._rows import (
    ID_TYPES,
    IdKind,
    as_id,
    by_key,
    by_user,
    duplicate_error,
)
from nearfar.store.sinks.sink import DayWriter, RecommendationSink


@dataclass(frozen=True)
class ParquetRecommendations(RecommendationSink):
    """Recommendations under one folder: `date=2024-05-01/part-00000-00001.parquet` and so on.

    ```text
    date=2024-05-01 -> .days/2024-05-01/00002-pia-7        the link that readers follow
    .days/2024-05-01/00002-pia-7/part-00000-00002.parquet
    .days/2024-05-01/published.00002-pia-7
    .days/2024-05-01/00001-pia-6/part-00000-00001.parquet  the day as it was before
    ```

    Parts are written where they stay, into a folder that is never changed once it is published.
    To publish is to replace the link by one rename, which is atomic, so that there is no state in
    between to repair: a folder without a link to it is one that was not published, and the next
    run goes on with it or drops it. The folder published before stays until the next time, for
    readers that are still in it.

    Other programs read `PATH/date=*/*.parquet`. One that lists a day and opens its files while
    the day is published again may find a file gone, and tries again; it cannot mix two days, as
    no file of one is called as one of the other. The file system must know symbolic links.

    Args:
        path: the folder; `${NAME}` stands for an environment variable.
        ids: whether ids are kept as "text" or "integer".

    Examples:
        >>> from nearfar.store.sinks.parquet import ParquetRecommendations
        >>> from datetime import date
        >>> rows = pl.DataFrame({"user": ["u1"], "rank": [1], "item": ["7"], "score": [0.5]})
        >>> sink = ParquetRecommendations("recommendations")
        >>> with sink.writing(date(2026, 5, 1), version="v1") as writer:
        ...     writer.write(rows)
        >>> sink.read(date(2026, 5, 1), user="u1")["item"].to_list()
        ['7']
    """

    path: str
    ids: IdKind = "text"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", Url(self.path))

    def check(self) -> None:
        revealed = Url(self.path).reveal()
        if "://" in revealed:
            raise SettingsError(
                f"{Url(self.path)} is no path; recommendations are published by renaming, which "
                "remote files do not know: publish to a path and copy, or to a database"
            )

    @contextmanager
    def _writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> Iterator[DayWriter]:
        address = Url(self.path)
        home = DayFolders(self._root(), day)
        with address.errors("write it", OSError):
            home.settle()
            folder = home.unpublished(version) if resume else None
            home.drop_unpublished(but=folder)
            folder = folder or home.next(version)
        yield _ParquetWriter(home, folder, address, version, scored_at, self.ids)

    def delete(self, day: date) -> None:
        with Url(self.path).errors("write it", OSError):
            DayFolders(self._root(), day).delete()

    def dates(self) -> list[date]:
        found = []
        for entry in self._root().glob(f"{PREFIX}*"):
            with contextlib.suppress(ValueError):
                found.append(date.fromisoformat(entry.name.removeprefix(PREFIX)))
        return sorted(found)

    def read(self, day: date, user: int | str | None = None) -> pl.DataFrame:
        with Url(self.path).errors("read it", OSError, PolarsError):
            rows = self.read_users(day, None if user is None else [as_id(user, self.ids)])
        if rows is None:
            raise self._absent(day)
        return rows

    def read_users(
        self, day: date, users: Sequence[int | str | None] | None
    ) -> pl.DataFrame | None:
        """Return the rows of some users or of all, or None where the day is not published.

        Args:
            day: the day.
            users: ids of the sink's kind.

        Raises:
            OSError: a file cannot be read.
            PolarsError: a file is damaged.
        """
        home = DayFolders(self._root(), day)
        folder = home.published()
        while folder is not None:
            try:
                return _read(folder, users, self.ids)
            except (OSError, PolarsError):
                now = home.published()
                if now == folder:
                    raise
                folder = now  # it was published twice while it was read
        return None

    def holds(self, day: date, version: str) -> bool:
        with Url(self.path).errors("read it", OSError):
            return DayFolders(self._root(), day).is_of(version)

    def reader(self, seconds: float) -> Reader:
        return _ParquetReader(self)

    def _root(self) -> Path:
        self.check()
        return Path(Url(self.path).reveal()).expanduser()


class _ParquetReader(Reader):
    """Scans the day's files once for all users who are asked for together."""

    def __init__(self, sink: ParquetRecommendations) -> None:
        self._sink = sink

    def latest(self) -> date | None:
        with self._errors():
            return max(self._sink.dates(), default=None)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        asked = by_key(users, self._sink.ids)
        with self._errors():
            rows = self._sink.read_users(day, list(asked))
        return None if rows is None else by_user(rows.iter_rows(), asked)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, PolarsError) as error:
            kind = UnreachableError if isinstance(error, OSError) else DataError
            raise kind(Url(self._sink.path).told("read it", error)) from None


class _ParquetWriter(DayWriter):
    def __init__(
        self,
        home: DayFolders,
        folder: Path,
        address: Url,
        version: str,
        scored_at: datetime,
        ids: IdKind,
    ) -> None:
        super().__init__(home.day, version, scored_at, ids)
        self._home = home
        self._folder = folder
        self._address = address

    @property
    def parts(self) -> list[int]:
        return sorted(int(p.stem.split("-")[1]) for p in _files(self._folder))

    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        # The folder's number, so that no path leads to one file before publishing and to
        # another after: a reader that listed the old ones finds them gone, not changed.
        name = f"part-{part:05d}-{self._folder.name.partition('-')[0]}.parquet"
        with (
            self._address.errors("write it", OSError),
            atomic_file(self._folder / name) as file,
        ):
            rows.write_parquet(file)

    def publish(self) -> None:
        with self._address.errors("write it", OSError, PolarsError):
            files = _files(self._folder)
            if not files or not _n_rows(files):
                raise DataError(f"no rows of {self.day} were written; nothing was published")
            self._home.publish(self._folder)


def _n_rows(files: list[Path]) -> int:
    """How many rows the files have.

    Raises:
        DataError: a user has two items at one rank.
    """
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False)
    place = pl.struct("user", "rank")
    n_rows, n_hashes = rows.select(pl.len(), n=place.hash().n_unique()).collect().row(0)
    # Equal hashes of unequal places are rare, but would stop a good day.
    if n_hashes < n_rows and rows.select(place.n_unique()).collect().item() < n_rows:
        raise duplicate_error()
    return n_rows


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _read(folder: Path, users: Sequence[int | str | None] | None, ids: IdKind) -> pl.DataFrame:
    files = _files(folder)
    if not files:
        raise FileNotFoundError(f"{folder} has no files")
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False)
    rows = rows.with_columns(pl.col("user", "item").cast(ID_TYPES[ids]))
    if users is not None:
        rows = rows.filter(pl.col("user").is_in(pl.Series(users, dtype=ID_TYPES[ids]).implode()))
    return rows.sort("user", "rank").collect()
