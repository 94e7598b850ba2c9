"""Read files of typed columns: Parquet, Arrow (Feather) and Avro."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError
from nearfar.tables.raw import COMPRESSED, RawFiles
from nearfar.tables.reader import BATCH_ROWS, Numbers, TableReader


@dataclass(frozen=True)
class ColumnarFormat:
    """A file format of typed columns.

    Attributes:
        kind: its name in messages.
        signature: its first bytes.
        read: reads a whole file from a stream.
        scan: scans a file at a path lazily; None if Polars cannot.
    """

    kind: str
    signature: bytes
    read: Callable[[Any], pl.DataFrame]
    scan: Callable[..., pl.LazyFrame] | None = None


FORMATS = (
    ColumnarFormat("Parquet", b"PAR1", pl.read_parquet, pl.scan_parquet),
    ColumnarFormat("Arrow", b"ARROW1", pl.read_ipc, pl.scan_ipc),
    ColumnarFormat("Arrow stream", b"\xff\xff\xff\xff", pl.read_ipc_stream),
    ColumnarFormat("Avro", b"Obj\x01", pl.read_avro),
)
PARQUET = r".*\.(?:parquet|pq)"
OTHER_COLUMNAR = r".*\.(?:feather|arrow|ipc|avro)"
COLUMNAR = rf"(?:{PARQUET}|{OTHER_COLUMNAR})"
PARQUET_NAME = re.compile(PARQUET + COMPRESSED, re.IGNORECASE)


def columnar_format(files: RawFiles, name: str) -> ColumnarFormat | None:
    """Return the format of a file by its first bytes or its name; None for text."""
    for candidate in FORMATS:
        if files.starts_with(name, candidate.signature):
            return candidate
    return FORMATS[0] if PARQUET_NAME.fullmatch(name) else None


def _starts_with(path: Path, signature: bytes) -> bool:
    """Return whether a file has this signature without decompression."""
    with path.open("rb") as stream:
        return stream.read(len(signature)) == signature


class ColumnarTable(TableReader):
    """A file of typed columns. Only the selected columns are read.

    Raises:
        DataError: the file is damaged.
    """

    def __init__(self, files: RawFiles, name: str, format: ColumnarFormat) -> None:
        self.where = files.where(name)
        self.kind = f"{'an' if format.kind[0] == 'A' else 'a'} {format.kind}"
        self._format = format.kind
        path = files.path if files.kind == "file" else files.path / name
        with self._read_errors():
            in_place = files.kind in ("file", "folder") and _starts_with(path, format.signature)
            if in_place and format.scan is not None:
                options = {"glob": False} if format.kind == "Parquet" else {}
                self._rows = format.scan(path, hive_partitioning=False, **options)
            else:
                with files.open(name) as stream:
                    self._rows = format.read(io.BytesIO(stream.read())).lazy()
            self.schema = self._rows.collect_schema()
            self.columns = self.schema.names()

    def blocks(
        self, selected: Sequence[str], numbers: Numbers | None = None
    ) -> Iterator[tuple[pl.DataFrame, int]]:
        with self._read_errors():
            n_rows = int(self._rows.select(pl.len()).collect().item())
            for start in range(0, n_rows, BATCH_ROWS):
                yield self._rows.select(selected).slice(start, BATCH_ROWS).collect(), start + 1

    @contextmanager
    def _read_errors(self) -> Iterator[None]:
        try:
            yield
        except (PolarsError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise DataError(
                f"{self.where} is a damaged {self._format} file ({reason}); export it again"
            ) from None
