"""Read a table of item details, such as titles and genres, for a log or a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl

from nearfar.core.errors import DataError, SchemaError
from nearfar.core.identity import settled
from nearfar.tables.columns import quoted, resolve
from nearfar.tables.dialect import TextOptions
from nearfar.tables.raw import RawFiles
from nearfar.tables.reader import TableReader
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import ITEM_ROLES, Role
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
    """Read a table of items (.csv, .tsv, .parquet, also .gz) with one row per item.

    Columns are recognised by the same names as in logs. Rows without an item are left out.

    Args:
        path: the file.
        item: the column of ids, if the table has a column with this name.
        given: the columns of the roles item, title and genres; "" for a role to ignore.
        only: leave out columns without a role.
        need_title: refuse a table without titles.
        options: how to read the file.
        log_encoding: the encoding of the log, which is tried if the table is not UTF-8.
        report: updated with what was read.

    Returns:
        The columns item (Int64 or String), title and genres if the table has them, and the other
        columns under their names.

    Raises:
        DataError: the file cannot be read, or has more than 1 GiB or 10 million rows.
        SchemaError: a column is missing, ambiguous or of a wrong type.
    """
    path = Path(path)
    if not path.is_file():
        problem = "is not a file" if path.exists() else "does not exist"
        raise DataError(f"{path} {problem}; give a CSV, TSV or Parquet file of items and titles")
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
    items = items_of(table, report, given=names, only=only, rules=options.rules)
    if need_title and "title" not in items.columns:
        raise SchemaError(
            f"{path} has no column known as the title; it has {quoted(table.columns)}: name one "
            "column title"
        )
    if items.height > MAX_ROWS:
        raise DataError(f"{path} has more than {MAX_ROWS:,} rows; leave other items out")
    return items


def remark_on_repeats(items: pl.DataFrame) -> str:
    """Return a remark on the number of rows that repeat an item; "" for none.

    Args:
        items: a table with the column item.
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
    """Return the rows of a table of items; see `read_item_table`.

    Args:
        table: the table of items.
        report: updated with what was read.
        given: the columns of the roles item, title and genres; "" for a role to ignore.
        only: leave out columns without a role.
        rules: the rules for unreadable values.
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
    items = pl.concat(blocks, how="vertical_relaxed") if blocks else pl.DataFrame(
        schema=dict.fromkeys(columns, pl.String)
    )  # fmt: skip
    if not table.typed:
        items = items.with_columns(settled(items["item"], "item", literal=rules.literal_ids))
    if n_missing := items["item"].null_count():
        report.left_out["the item is missing"] += n_missing
    return items.filter(pl.col("item").is_not_null())
