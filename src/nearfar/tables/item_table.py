"""Details of items from a file: titles, genres and the like, beside a log or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.identity import settled
from nearfar.tables.columns import ITEM_ROLES, quoted
from nearfar.tables.dialect import TextOptions
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.table import ReadOptions, open_table, read_rows

MAX_BYTES = 1 << 30
MAX_ROWS = 10_000_000


def read_item_table(
    path: str | Path,
    *,
    item: str | None = None,
    given: Mapping[str, str | None] | None = None,
    only: bool = False,
    need_title: bool = False,
    options: ReadOptions | None = None,
    log_encoding: str | None = None,
) -> pl.DataFrame:
    """Read a table of items (.csv, .tsv, .parquet, also .gz), a row per item.

    Columns are recognised as those of logs are. Rows with an empty item are left out.

    Args:
        path: of the file.
        item: the column of ids, where the table has a column of this name.
        given: the columns of the roles item, title and genres; "" for a role that the caller does
            not want.
        only: leave out columns that have no role.
        need_title: refuse a table without titles.
        options: how to read it.
        log_encoding: of the log beside it; the table is read in it where it is not UTF-8.

    Returns:
        Columns item (Int64, or String), title and genres as far as they are there, and the other
        columns under their names.

    Raises:
        DataError: the file cannot be read, or is larger than 1 GiB or 10 million rows.
        SchemaError: a column cannot be told, is missing or has a wrong type.
    """
    path = Path(path)
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}; give a CSV, TSV or Parquet file of items and titles")
    if path.stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than {MAX_BYTES:,} bytes; leave other columns out")
    options = options or ReadOptions()
    try:
        return _read(path, item, given, options, only=only, need_title=need_title)
    except DataError:
        if log_encoding is None or options.text.encoding != TextOptions().encoding:
            raise
    options = replace(options, text=replace(options.text, encoding=log_encoding))
    return _read(path, item, given, options, only=only, need_title=need_title)


def _read(
    path: Path,
    item: str | None,
    given: Mapping[str, str | None] | None,
    options: ReadOptions,
    *,
    only: bool,
    need_title: bool,
) -> pl.DataFrame:
    table = open_table(RawFiles(path), path.name, options, nested=True)
    names = {**(given or {}), **({"item": item} if item in table.columns else {})}
    roles = [role for role in ITEM_ROLES if names.get(role.name) != ""]
    names = {role: column for role, column in names.items() if column}
    report = ReadReport(source=str(path))
    blocks = [rows.frame for rows in read_rows([table], roles, names, options.rules, report)]
    if not table.typed:
        blocks = [frame.with_columns(pl.col("item").cast(pl.String)) for frame in blocks]
    if need_title and "title" not in report.columns:
        raise SchemaError(
            f"{path} has no column known as the title; it has {quoted(table.columns)}: call one "
            "title"
        )
    found = pl.concat(blocks) if blocks else pl.DataFrame(
        schema=dict.fromkeys(report.columns, pl.String)
    )  # fmt: skip
    if found.height > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} rows; leave other items out")
    if not only and report.unused_columns:
        others = pl.concat([frame for frame, _ in table.blocks(report.unused_columns)] or [
            pl.DataFrame(schema=dict.fromkeys(report.unused_columns, pl.String))
        ])  # fmt: skip
        clashing = [c for c in others.columns if c in found.columns]
        found = found.hstack(others.drop(clashing).get_columns())
    if not table.typed:
        found = found.with_columns(settled(found["item"]))
    return found.filter(pl.col("item").is_not_null())
