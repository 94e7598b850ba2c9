"""Events in CSV files."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from nearfar.core.errors import DataError
from nearfar.data.columns import Columns
from nearfar.data.delimited import Dialect, read_blocks
from nearfar.data.raw import BLOCK_BYTES, RawFiles
from nearfar.store.secrets import Url
from nearfar.store.sources._files import DatedFile, check_partition, dated_files, is_remote
from nearfar.store.sources._moments import TimeUnit
from nearfar.store.sources._rows import EventRows
from nearfar.store.sources.source import EventSource

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SEPARATORS = "\t,;|"


@dataclass(frozen=True)
class CSVEvents(EventSource):
    """Events in a CSV file or a folder of them, which may be partitioned by day.

    The first line names the columns. Separators are commas, tabs, semicolons or bars. Files are
    read block by block, and rows outside the window are dropped at once; a text file cannot tell
    where its days are, so that only partitions (`date=2024-05-01/`) save reading.

    Args:
        path: of a file (.csv, .tsv, also .gz) or folder; `${NAME}` stands for an environment
            variable.
        columns: names of columns; by default told by usual names.
        partition: what folders of days are called before the "=".
        time_unit: what numbers in the timestamp count since 1970; "auto" tells it by their size.
        block_bytes: how much text is parsed at a time.
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    partition: str = "date"
    time_unit: TimeUnit = "auto"
    block_bytes: int = BLOCK_BYTES

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", Url(self.path))
        check_partition(self.partition)

    def check(self) -> None:
        address = Url(self.path)
        if is_remote(address.reveal()):
            raise DataError(
                f"{address}: CSV files are read from paths only; Parquet from addresses"
            )

    def _read(self, since: date, until: date) -> pl.DataFrame:
        address = Url(self.path)
        rows = EventRows(self.columns, self.time_unit, since, until, text=True)
        _, files = dated_files(address, ENDINGS, self.partition, since, until)
        for file in files:
            with address.errors(f"read {file.path}", OSError):
                self._add(rows, file)
        return rows.frame()

    def _add(self, rows: EventRows, file: DatedFile) -> None:
        files = RawFiles(file.path)
        name, where = files.names[0], file.path
        first_line = files.first_line(name)
        separator = max(SEPARATORS, key=lambda s: (first_line.count(s), -SEPARATORS.index(s)))
        columns = [c.strip() for c in next(csv.reader([first_line], delimiter=separator))]
        roles = rows.roles(columns, where)
        moments = rows.moments(where)
        types = dict.fromkeys(roles.values(), pl.String)
        dialect = Dialect(separator, quoted=True)
        for block, first in read_blocks(files, name, columns, types, dialect, self.block_bytes):
            rows.add(block, roles, moments, where, first, whole=file.day is not None)
