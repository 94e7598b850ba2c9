"""Events in Parquet files."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import date

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.core.secrets import Url
from nearfar.store.contracts import midnight
from nearfar.store.event_rows import EventRows
from nearfar.store.sources._files import (
    DatedFile,
    FileSystem,
    LocalFiles,
    check_partition,
    dated_files,
    open_filesystem,
)
from nearfar.store.sources.source import EventSource
from nearfar.tables.clock import TimeUnit
from nearfar.tables.columnar import PARQUET
from nearfar.tables.columns import Columns
from nearfar.tables.nested import unnested
from nearfar.tables.partitions import partitioned
from nearfar.tables.reader import TableReader
from nearfar.tables.table import FrameTable

ENDINGS = re.compile(PARQUET, re.IGNORECASE)


@dataclass(frozen=True)
class ParquetEvents(EventSource):
    """Events in a Parquet file or a folder of them, which may be partitioned by day.

    Of folders of days (`date=2024-05-01/` or `2024-05-01/`, at any depth) only the days of the
    window are listed and read. Files that lie in no such folder are read as far as their timestamps
    are in the window; where these are dates or moments, row groups outside are skipped.

    Args:
        path: of a file or folder, or an address that fsspec knows, as `s3://bucket/events`;
            `${NAME}` stands for an environment variable.
        columns: names of columns; by default told by usual names.
        partition: what folders of days are called before the "="; "" where names of folders mean
            nothing, as where a folder called 2024-05-01 holds events of other days.
        time_unit: what numbers in the timestamp count since 1970; "auto" tells it by their size.
        time_format: how text times are written, as strptime knows it; by default told by
            themselves.
        literal_ids: take NA, NULL, None and the like for ids, not for missing ones.

    Examples:
        >>> from nearfar.store.sources.parquet import ParquetEvents
        >>> from datetime import date, datetime
        >>> times = [datetime(2026, 5, 1, 8, n) for n in range(3)]
        >>> events = pl.DataFrame({"user": [1, 1, 2], "item": [7, 8, 7], "timestamp": times})
        >>> events.write_parquet("events.parquet")
        >>> ParquetEvents("events.parquet").read(date(2026, 5, 1), date(2026, 5, 2)).height
        3
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    partition: str = "date"
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    literal_ids: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", Url(self.path))
        check_partition(self.partition)

    def check(self) -> None:
        open_filesystem(Url(self.path))

    def read_into(self, rows: EventRows) -> None:
        address = Url(self.path)
        filesystem, files = dated_files(
            address, ENDINGS, self.partition, rows.since, rows.until, rows.report
        )
        for file in files:
            with address.errors(f"read {file.path}", OSError):
                _add(rows, filesystem, file)


def _add(rows: EventRows, filesystem: FileSystem, file: DatedFile) -> None:
    """Add the rows of one file.

    Raises:
        DataError: it is not a Parquet file.
    """
    where = file.path
    try:
        if isinstance(filesystem, LocalFiles):
            table = pl.scan_parquet(file.path, glob=False, hive_partitioning=False)
        else:
            with filesystem.open(file.path) as stream:
                table = pl.scan_parquet(io.BytesIO(stream.read()), hive_partitioning=False)
        schema = table.collect_schema()

        def opened(rows: pl.LazyFrame, *, sliced: bool) -> TableReader:
            return partitioned(unnested(FrameTable(rows, where, sliced=sliced), schema), file.below)

        time = rows.roles(opened(table, sliced=True).columns, where)["timestamp"]
        inside = None
        if not file.day and time in schema:
            inside = _window(time, schema[time], rows.since, rows.until)
        table = table if inside is None else table.filter(inside)
        rows.add(opened(table, sliced=inside is None), whole=file.day is not None)
    except PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{where} is not a whole Parquet file ({reason}); get it again") from None


def _window(column: str, kind: pl.DataType, since: date, until: date) -> pl.Expr | None:
    """The rows in the window, as far as the file itself can tell; None where it cannot."""
    moment = pl.col(column)
    if kind == pl.Date:
        low, high = pl.lit(since), pl.lit(until)
    elif isinstance(kind, pl.Datetime) and kind.time_zone is None:
        low, high = (pl.lit(midnight(d).replace(tzinfo=None)) for d in (since, until))
    elif isinstance(kind, pl.Datetime):
        zone = kind.time_zone or "UTC"
        low, high = (pl.lit(midnight(d)).dt.convert_time_zone(zone) for d in (since, until))
    else:
        return None
    return moment.is_null() | ((moment >= low) & (moment < high))
