"""Events in Parquet files."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.core.secrets import Url
from nearfar.store.contracts import midnight
from nearfar.store.event_rows import EventRows
from nearfar.store.sources._day_folders import add_files
from nearfar.store.sources._files import (
    DatedFile,
    FileSystem,
    LocalFiles,
    check_partition,
    open_filesystem,
)
from nearfar.store.sources.source import EventSource
from nearfar.tables.columnar import PARQUET
from nearfar.tables.columns import Columns
from nearfar.tables.nested import unnested
from nearfar.tables.partitions import partitioned
from nearfar.tables.reader import TableReader
from nearfar.tables.table import FrameTable
from nearfar.tables.time_units import TimeUnit

ENDINGS = re.compile(PARQUET, re.IGNORECASE)


@dataclass(frozen=True)
class ParquetEvents(EventSource):
    """Events in a Parquet file or a folder of them, which may be partitioned by day.

    Of folders of days (`date=2024-05-01/` or `2024-05-01/`, at any depth), only those of the window
    are listed and read. Other files are filtered by timestamp; if these are dates or datetimes, row
    groups outside the window are skipped.

    Args:
        path: file or folder, or an address for fsspec, such as `s3://bucket/events`; `${NAME}` is
            an environment variable.
        columns: names of columns; by default recognised by usual names.
        partition: text before the "=" in the names of folders of days; "" if names of folders mean
            nothing, as if a folder 2024-05-01 holds events of other days.
        time_unit: unit of numeric timestamps since 1970; "auto" recognises it by their size.
        time_format: strptime format of text times; recognised by default.
        literal_ids: read NA, NULL, None and the like as ids instead of missing values.

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

        def add_file(filesystem: FileSystem, file: DatedFile, _: Sequence[DatedFile]) -> None:
            with address.errors(f"read {file.path}", OSError):
                _add_file(rows, filesystem, file)

        add_files(address, ENDINGS, self.partition, rows, add_file)


def _add_file(rows: EventRows, filesystem: FileSystem, file: DatedFile) -> None:
    """Add the rows of a file.

    Raises:
        DataError: the file is not a Parquet file.
    """
    where = file.path
    try:
        if isinstance(filesystem, LocalFiles):
            table = pl.scan_parquet(file.path, glob=False, hive_partitioning=False)
        else:
            with filesystem.open(file.path) as stream:
                table = pl.scan_parquet(io.BytesIO(stream.read()), hive_partitioning=False)
        schema = table.collect_schema()

        def reader_of(rows: pl.LazyFrame, *, sliced: bool) -> TableReader:
            return partitioned(unnested(FrameTable(rows, where, sliced=sliced), schema), file.below)

        time_column = rows.roles(reader_of(table, sliced=True))["timestamp"]
        in_window = None
        if not file.day and time_column in schema:
            in_window = _window(time_column, schema[time_column], rows.since, rows.until)
        table = table if in_window is None else table.filter(in_window)
        rows.add(reader_of(table, sliced=in_window is None), day=file.day)
    except PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{where} is not a whole Parquet file ({reason}); get it again") from None


def _window(column: str, kind: pl.DataType, since: date, until: date) -> pl.Expr | None:
    """Return a filter of the rows in the window; None if the column is not a date or datetime."""
    time = pl.col(column)
    if kind == pl.Date:
        low, high = pl.lit(since), pl.lit(until)
    elif isinstance(kind, pl.Datetime) and kind.time_zone is None:
        low, high = (pl.lit(midnight(d).replace(tzinfo=None)) for d in (since, until))
    elif isinstance(kind, pl.Datetime):
        zone = kind.time_zone or "UTC"
        low, high = (pl.lit(midnight(d)).dt.convert_time_zone(zone) for d in (since, until))
    else:
        return None
    return time.is_null() | ((time >= low) & (time < high))
