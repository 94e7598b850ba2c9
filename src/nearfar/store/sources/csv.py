"""Events in CSV files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.secrets import Url
from nearfar.store.event_rows import EventRows
from nearfar.store.sources._day_folders import add_files
from nearfar.store.sources._files import DatedFile, FileSystem, check_partition, is_remote
from nearfar.store.sources.source import EventSource
from nearfar.tables.columnar import OTHER_COLUMNAR
from nearfar.tables.columns import Columns
from nearfar.tables.dialect import Quoting, TextOptions
from nearfar.tables.json_files import JSON, is_json, is_note
from nearfar.tables.partitions import partitioned
from nearfar.tables.raw import BLOCK_BYTES, COMPRESSED, RawFiles
from nearfar.tables.reader import TableReader
from nearfar.tables.table import TEXT, ReadOptions
from nearfar.tables.time_units import TimeUnit

# Parquet files have their own source.
ENDINGS = re.compile(rf"(?:{TEXT}|{JSON}|{OTHER_COLUMNAR}){COMPRESSED}", re.IGNORECASE)


@dataclass(frozen=True)
class CSVEvents(EventSource):
    """Events in a file of CSV, TSV, text or JSON, or in a folder of such files.

    Formats are recognised by the first bytes, as in `read_log`, so compressed and columnar files
    and archives are read too. Rows outside the window are dropped block by block. Only folders of
    days (`date=2024-05-01/` or `2024-05-01/`) avoid reading the whole text.

    Args:
        path: file (.csv, .tsv, .txt, .jsonl, .json, also .gz, .bz2, .xz) or folder; `${NAME}` is an
            environment variable.
        columns: names of columns; by default recognised by usual names.
        partition: text before the "=" in the names of folders of days; "" if names of folders mean
            nothing, as if a folder 2024-05-01 holds events of other days.
        time_unit: unit of numeric timestamps since 1970; "auto" recognises it by their size.
        time_format: strptime format of the times; recognised by default.
        literal_ids: read NA, NULL, None and the like as ids instead of missing values.
        item_separator: separator of several items in a cell, such as "|".
        encoding, separator, quoting, header: as in `nearfar.tables.dialect.TextOptions`.
        block_bytes: bytes of text to parse at a time.

    Examples:
        >>> from nearfar.store.sources.csv import CSVEvents
        >>> from datetime import date, datetime
        >>> times = [datetime(2026, 5, 1, 8, n) for n in range(3)]
        >>> events = pl.DataFrame({"user": [1, 1, 2], "item": [7, 8, 7], "timestamp": times})
        >>> events.write_csv("events.csv")
        >>> CSVEvents("events.csv").read(date(2026, 5, 1), date(2026, 5, 2)).height
        3
    """

    path: str
    columns: Columns = field(default_factory=Columns)
    partition: str = "date"
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    literal_ids: bool = False
    item_separator: str | None = None
    encoding: str | None = None
    separator: str | None = None
    quoting: Quoting = "auto"
    header: bool | None = None
    block_bytes: int = BLOCK_BYTES

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "path", Url(self.path))
        check_partition(self.partition)

    def check(self) -> None:
        address = Url(self.path)
        if is_remote(address.reveal()):
            raise DataError(
                f"{address}: CSV files are read from paths only; use Parquet for addresses"
            )

    def read_into(self, rows: EventRows) -> None:
        address = Url(self.path)
        text = TextOptions(self.encoding, self.separator, self.quoting, self.header)
        options = ReadOptions(text, self.rules, block_bytes=self.block_bytes)

        def add_file(_: FileSystem, file: DatedFile, others: Sequence[DatedFile]) -> None:
            with address.errors(f"read {file.path}", OSError):
                files = RawFiles(file.path)
                alone = len(others) == 1
                if not alone and is_note(files, file.name):
                    rows.report.skipped_files.append(file.below)
                    return
                tables = rows.tables(files, options, alone=alone)
                tables = [partitioned(table, file.below) for table in tables]
                # Other names are compared last, so only for files without events.
                if (
                    is_json(file.name)
                    and not all(_fits(rows, table) for table in tables)
                    and not all(is_json(other.name) for other in others)
                ):
                    rows.report.skipped_files.append(file.below)
                    return
                for table in tables:
                    rows.add(table, day=file.day)

        add_files(address, ENDINGS, self.partition, rows, add_file)


def _fits(rows: EventRows, table: TableReader) -> bool:
    """Return whether a table has the columns of events."""
    try:
        rows.roles(table)
    except SchemaError:
        return False
    return True
