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
    """Recommendations in Parquet files: `date=2024-05-01/part-00000-00001.parquet` and so on.

    ```text
    date=2024-05-01 -> .days/2024-05-01/00002-pia-7        the link that readers follow
    .days/2024-05-01/00002-pia-7/part-00000-00002.parquet
    .days/2024-05-01/published.00002-pia-7
    .days/2024-05-01/00001-pia-6/part-00000-00001.parquet  the day before it was published again
    ```

    Parts are written into a folder that never changes after it is published. Publishing replaces
    the link by one atomic rename, so there is no intermediate state to repair: a folder without a
    link was not published, and the next run resumes or drops it. The previously published folder
    stays until the next publishing, for readers that still use it.

    Other programs read `PATH/date=*/*.parquet`. A program that lists a day and opens its files
    while the day is published again may find a file missing and must try again. It cannot mix two
    versions, because their file names differ. The file system must support symbolic links.

    Args:
        path: folder; `${NAME}` is an environment variable.
        ids: type of the ids, "text" or "integer".

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
                f"{Url(self.path)} is not a path; recommendations are published by renaming, which "
                "remote files do not support: publish to a path and copy, or to a database"
            )

    @contextmanager
    def _writer(
        self, day: date, version: str, scored_at: datetime, resume: bool
    ) -> Iterator[DayWriter]:
        address = Url(self.path)
        folders = DayFolders(self._root(), day)
        with address.errors("write it", OSError):
            folders.finish_interrupted()
            folder = folders.unpublished(version) if resume else None
            folders.drop_unpublished(but=folder)
            folder = folder or folders.next(version)
        yield _ParquetWriter(folders, folder, address, version, scored_at, self.ids)

    def delete(self, day: date) -> None:
        with Url(self.path).errors("write it", OSError):
            DayFolders(self._root(), day).delete()

    def dates(self) -> list[date]:
        days = []
        for entry in self._root().glob(f"{PREFIX}*"):
            with contextlib.suppress(ValueError):
                days.append(date.fromisoformat(entry.name.removeprefix(PREFIX)))
        return sorted(days)

    def read(self, day: date, user: int | str | None = None) -> pl.DataFrame:
        with Url(self.path).errors("read it", OSError, PolarsError):
            rows = self.read_users(day, None if user is None else [as_id(user, self.ids)])
        if rows is None:
            raise self._absent(day)
        return rows

    def read_users(
        self, day: date, users: Sequence[int | str | None] | None
    ) -> pl.DataFrame | None:
        """Return the rows of some users or of all, or None if the day is not published.

        Args:
            day: the day.
            users: ids of the sink's type; None for all users.

        Raises:
            OSError: a file cannot be read.
            PolarsError: a file is damaged.
        """
        folders = DayFolders(self._root(), day)
        folder = folders.published()
        while folder is not None:
            try:
                return _read(folder, users, self.ids)
            except (OSError, PolarsError):
                new_folder = folders.published()
                if new_folder == folder:
                    raise
                folder = new_folder  # the day was published again during the read
        return None

    def holds(self, day: date, version: str) -> bool:
        with Url(self.path).errors("read it", OSError):
            return DayFolders(self._root(), day).has_version(version)

    def reader(self, seconds: float) -> Reader:
        return _ParquetReader(self)

    def _root(self) -> Path:
        self.check()
        return Path(Url(self.path).reveal()).expanduser()


class _ParquetReader(Reader):
    """Scans the day's files once for all users of a request."""

    def __init__(self, sink: ParquetRecommendations) -> None:
        self._sink = sink

    def latest(self) -> date | None:
        with self._errors():
            return max(self._sink.dates(), default=None)

    def read(self, day: date, users: Sequence[str]) -> dict[str, list[StoredRecommendation]] | None:
        users_by_id = by_key(users, self._sink.ids)
        with self._errors():
            rows = self._sink.read_users(day, list(users_by_id))
        return None if rows is None else by_user(rows.iter_rows(), users_by_id)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, PolarsError) as error:
            kind = UnreachableError if isinstance(error, OSError) else DataError
            raise kind(Url(self._sink.path).error_message("read it", error)) from None


class _ParquetWriter(DayWriter):
    def __init__(
        self,
        folders: DayFolders,
        folder: Path,
        address: Url,
        version: str,
        scored_at: datetime,
        ids: IdKind,
    ) -> None:
        super().__init__(folders.day, version, scored_at, ids)
        self._folders = folders
        self._folder = folder
        self._address = address

    @property
    def parts(self) -> list[int]:
        return sorted(int(p.stem.split("-")[1]) for p in _files(self._folder))

    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        # With the folder's number in the name, no path means one file before publishing and
        # another after: a reader that listed the old files finds them missing, not changed.
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
            self._folders.publish(self._folder)


def _n_rows(files: list[Path]) -> int:
    """Return the number of rows of the files.

    Raises:
        DataError: a user has two items at one rank.
    """
    rows = pl.scan_parquet(files, glob=False, hive_partitioning=False)
    key = pl.struct("user", "rank")
    n_rows, n_hashes = rows.select(pl.len(), n=key.hash().n_unique()).collect().row(0)
    # Hashes of different keys may be equal, so count the keys before refusing a good day.
    if n_hashes < n_rows and rows.select(key.n_unique()).collect().item() < n_rows:
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
