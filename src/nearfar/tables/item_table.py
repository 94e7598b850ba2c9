"""Details of items from a file: titles, genres and the like, beside a log or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.identity import settled
from nearfar.tables.columns import ITEM_ROLES, Role, quoted, resolve
from nearfar.tables.dialect import TextOptions
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import TableReader
from nearfar.tables.report import ReadReport
from nearfar.tables.rules import RowRules
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
    report: ReadReport | None = None,
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
        report: filled with what was read.

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
    options = options or ReadOptions(rules=RowRules(has_options=False))
    report = report or ReadReport()
    try:
        return _read(path, item, given, options, report, only=only, need_title=need_title)
    except DataError:
        if log_encoding is None or options.text.encoding != TextOptions().encoding:
            raise
    options = replace(options, text=replace(options.text, encoding=log_encoding))
    return _read(path, item, given, options, report, only=only, need_title=need_title)


def _read(
    path: Path,
    item: str | None,
    given: Mapping[str, str | None] | None,
    options: ReadOptions,
    report: ReadReport,
    *,
    only: bool,
    need_title: bool,
) -> pl.DataFrame:
    table = open_table(RawFiles(path), path.name, options, nested=True)
    names = {**(given or {}), **({"item": item} if item in table.columns else {})}
    found = items_of(table, report, given=names, only=only, rules=options.rules)
    if need_title and "title" not in found.columns:
        raise SchemaError(
            f"{path} has no column known as the title; it has {quoted(table.columns)}: call one "
            "title"
        )
    if found.height > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} rows; leave other items out")
    return found


def remark_on_repeats(items: pl.DataFrame) -> str:
    """Count the rows of items that another row is of already; "" without any.

    Args:
        items: a table with a column item, whose first row per item counts.
    """
    n_repeated = items.height - items["item"].n_unique()
    return f"{n_repeated:,} rows repeat an item; the first row of each counts" * (n_repeated > 0)


def items_of(
    table: TableReader,
    report: ReadReport,
    *,
    given: Mapping[str, str | None] | None = None,
    only: bool = False,
    rules: RowRules | None = None,
) -> pl.DataFrame:
    """The rows of a table of items; see `read_item_table`.

    Args:
        table: of items.
        report: filled with what was read.
        given: the columns of the roles item, title and genres; "" for one that is not wanted.
        only: leave out columns that have no role.
        rules: how values are read.
    """
    rules = rules or RowRules(has_options=False)
    given = given or {}
    roles = [role for role in ITEM_ROLES if given.get(role.name) != ""]
    columns = resolve(table.columns, table.where, roles, {k: v for k, v in given.items() if v})
    others = [c for c in table.columns if c not in columns.values() and c not in columns]
    if not only:
        roles += [Role(c, "any", ()) for c in others]
        columns |= {c: c for c in others}
    blocks = [rows.frame for rows in read_rows([table], roles, columns, rules, report)]
    if not table.typed:
        blocks = [frame.with_columns(pl.col("item").cast(pl.String)) for frame in blocks]
    found = pl.concat(blocks, how="vertical_relaxed") if blocks else pl.DataFrame(
        schema=dict.fromkeys(columns, pl.String)
    )  # fmt: skip
    if not table.typed:
        found = found.with_columns(settled(found["item"], "item", literal=rules.literal_ids))
    if n_missing := found["item"].null_count():
        report.left_out["the item is missing"] += n_missing
    return found.filter(pl.col("item").is_not_null())
