"""Events in CSV files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nearfar.core.errors import DataError
from nearfar.core.secrets import Url
from nearfar.store.event_rows import EventRows
from nearfar.store.sources._files import check_partition, dated_files, is_remote
from nearfar.store.sources.source import EventSource
from nearfar.tables.clock import TimeUnit
from nearfar.tables.columnar import OTHER_COLUMNAR
from nearfar.tables.columns import Columns
from nearfar.tables.dialect import Quoting, TextOptions
from nearfar.tables.json_lines import JSON_LINES
from nearfar.tables.partitions import partitioned
from nearfar.tables.raw import BLOCK_BYTES, COMPRESSED, RawFiles
from nearfar.tables.table import TEXT, ReadOptions

# Parquet files have a source of their own.
ENDINGS = re.compile(rf"(?:{TEXT}|{JSON_LINES}|{OTHER_COLUMNAR}){COMPRESSED}", re.IGNORECASE)


@dataclass(frozen=True)
class CSVEvents(EventSource):
    """Events in a file of CSV, TSV, text or JSON lines, or a folder of them, perhaps one per day.

    Files are told by their first bytes, as in `read_log`, so that compressed and columnar ones and
    archives are read too. Rows outside the window are dropped block by block; a text file cannot
    tell where its days are, so that only folders of days (`date=2024-05-01/` or `2024-05-01/`) save
    reading.

    Args:
        path: of a file (.csv, .tsv, .txt, .jsonl, also .gz, .bz2, .xz) or folder; `${NAME}` stands
            for an environment variable.
        columns: names of columns; by default told by usual names.
        partition: what folders of days are called before the "="; "" where names of folders mean
            nothing, as where a folder called 2024-05-01 holds events of other days.
        time_unit: what numbers in the timestamp count since 1970; "auto" tells it by their size.
        time_format: how times are written, as strptime knows it; by default told by themselves.
        literal_ids: take NA, NULL, None and the like for ids, not for missing ones.
        item_separator: what separates items where a cell holds several, as "|".
        encoding, separator, quoting, header: as in `nearfar.tables.dialect.TextOptions`.
        block_bytes: how much text is parsed at a time.

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
                f"{address}: CSV files are read from paths only; Parquet from addresses"
            )

    def read_into(self, rows: EventRows) -> None:
        address = Url(self.path)
        text = TextOptions(self.encoding, self.separator, self.quoting, self.header)
        options = ReadOptions(text, self.rules, block_bytes=self.block_bytes)
        _, files = dated_files(
            address, ENDINGS, self.partition, rows.since, rows.until, rows.report
        )
        for file in files:
            with address.errors(f"read {file.path}", OSError):
                for table in rows.tables(RawFiles(file.path), options, alone=len(files) == 1):
                    rows.add(partitioned(table, file.below), whole=file.day is not None)
