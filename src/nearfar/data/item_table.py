"""A table of items from a file: titles and the like, beside a log or a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
MAX_BYTES = 1 << 30
MAX_ROWS = 10_000_000


def read_item_table(
    path: Path, choose: Callable[[Sequence[str]], Mapping[str, str]]
) -> pl.DataFrame:
    """Columns of a .csv or .tsv (UTF-8, all text) or .parquet of items, a row an item.

    Args:
        path: the file.
        choose: of the file's columns those that are wanted, by the names that they shall have;
            what it raises is passed on.

    Raises:
        DataError: it is no such file, cannot be read, or is larger than 1 GiB or 10 million rows.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; name a file of items and titles")
    suffix = path.suffix.lower()
    if suffix not in (*SEPARATORS, *PARQUET) or not path.is_file():
        raise DataError(f"{path} is no .csv, .tsv or .parquet file; name one of items and titles")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES:,} bytes; leave other columns out")
    try:
        if suffix in PARQUET:
            table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        else:
            table = pl.scan_csv(path, separator=SEPARATORS[suffix], infer_schema=False, glob=False)
        wanted = choose(table.collect_schema().names())
        columns = [pl.col(own).alias(name) for name, own in wanted.items()]
        rows = table.select(columns).head(MAX_ROWS + 1).collect()
    except (PolarsError, OSError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be read ({told}); write it again, text as UTF-8") from None
    if rows.height > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} rows; leave other items out")
    return rows
