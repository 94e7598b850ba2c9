"""Any table with a user and an item column: CSV, TSV (also .gz, .zip) or Parquet."""

from __future__ import annotations

import csv
import io

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError, SchemaError
from nearfar.data.build import LogBuilder
from nearfar.data.delimited import Dialect, PolarsType, read_blocks
from nearfar.data.events import Log
from nearfar.data.raw import RawFiles
from nearfar.data.sources.source import Request, Source
from nearfar.data.tables import BATCH_ROWS, canonical_block
from nearfar.data.times import Clock

TEXT = r".*\.(?:csv|tsv|txt|tab|dat)"
PARQUET = r".*\.(?:parquet|pq)"
SEPARATORS = "\t,;|"


class Table(Source):
    """A table whose columns are named, or told by their names (user_id, movieId, score, ...)."""

    label = "CSV, TSV or Parquet table"
    generic = True
    own_columns = False

    def matches(self, files: RawFiles) -> bool:
        return bool(files.find_all(TEXT) or files.find_all(PARQUET) or files.kind == "file")

    def read(self, files: RawFiles, request: Request) -> Log:
        names = files.find_all(TEXT) + files.find_all(PARQUET)
        names = names or (files.names if files.kind == "file" else [])
        if len(names) != 1:
            listed = ", ".join(names[:5]) or "none"
            raise DataError(
                f"{files.path} holds {len(names)} tables ({listed}); give the path of one"
            )
        if _is_parquet(files, names[0]):
            return _read_parquet(files, names[0], request)
        return _read_text(files, names[0], request)


def _is_parquet(files: RawFiles, name: str) -> bool:
    with files.open(name) as stream:
        return stream.read(4) == b"PAR1"


def _read_text(files: RawFiles, name: str, request: Request) -> Log:
    where = files.where(name)
    first_line = files.first_line(name)
    separator = max(SEPARATORS, key=lambda s: (first_line.count(s), -SEPARATORS.index(s)))
    cells = [c.strip() for c in next(csv.reader([first_line], delimiter=separator))]
    header = not all(_is_number(c) for c in cells)
    columns = cells if header else [f"column_{i + 1}" for i in range(len(cells))]
    try:
        roles = request.columns.resolve(columns, where)
    except SchemaError as error:
        if header:
            raise
        raise SchemaError(f"{error} (the first line is all numbers, so taken for data)") from None
    types: dict[str, PolarsType] = dict.fromkeys(roles.values(), pl.String)
    types |= {roles[r]: pl.Float64 for r in ("rating", "weight") if r in roles}
    builder = LogBuilder(where, request.filters)
    clock = Clock(where)
    dialect = Dialect(separator, quoted=True, header=header)
    for frame, first in read_blocks(files, name, columns, types, dialect, request.block_bytes):
        builder.add(canonical_block(frame, roles, clock, where, first), first)
    return builder.log(request.items)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_parquet(files: RawFiles, name: str, request: Request) -> Log:
    where = files.where(name)
    try:
        if files.kind == "zip" or files.kind == "tar" or name.lower().endswith(".gz"):
            with files.open(name) as stream:
                table = pl.read_parquet(io.BytesIO(stream.read())).lazy()
        else:
            path = files.path if files.kind == "file" else files.path / name
            table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        roles = request.columns.resolve(table.collect_schema().names(), where)
        n_rows = int(table.select(pl.len()).collect().item())
        builder = LogBuilder(where, request.filters, typed=True)
        clock = Clock(where)
        for start in range(0, n_rows, BATCH_ROWS):
            batch = table.select(roles.values()).slice(start, BATCH_ROWS).collect()
            builder.add(canonical_block(batch, roles, clock, where, start + 1), start + 1)
    except PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{where} is a damaged Parquet file ({reason}); get it again") from None
    return builder.log(request.items)
