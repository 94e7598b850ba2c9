"""Histories in a file: a table of users and items, or JSON lines; read in bounded chunks.

A table (CSV, TSV, Parquet) may list a user's rows anywhere; so it is read whole, but as codes:
at most twenty bytes a row while the matrix is made of them, eight afterwards, and the users' ids
once. JSON lines hold a user a line and are read as they come, in memory that does not depend on
the length of the file.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError
from scipy.sparse import csr_array

from nearfar.bundle.lookup import HasItems, histories_from_items
from nearfar.core.errors import DataError, SchemaError
from nearfar.data.build import GrowingIds, beyond
from nearfar.data.columns import Columns
from nearfar.data.delimited import Dialect, read_blocks
from nearfar.data.interactions import canonical
from nearfar.data.raw import BLOCK_BYTES, RawFiles

CHUNK_USERS = 16_384
PARQUET_ROWS = 2_000_000
JSON_BLOCK_BYTES = 4 << 20
TEXT = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
JSON_LINES = (".jsonl", ".ndjson")


@dataclass(frozen=True, eq=False)
class HistoryChunk:
    """Some users with their histories, and how many of their items the bundle does not know."""

    user_ids: pl.Series
    histories: csr_array
    n_unknown: int


def read_histories(
    bundle: HasItems,
    path: str | Path,
    *,
    user: str | None = None,
    item: str | None = None,
    chunk_users: int = CHUNK_USERS,
    block_bytes: int = BLOCK_BYTES,
) -> Iterator[HistoryChunk]:
    """The histories in a file, at most `chunk_users` at a time.

    Args:
        bundle: over whose items.
        path: .csv, .tsv or .parquet with a user and an item column, users in order of first
            appearance (a row without an item lists a user who may have none); or .jsonl of
            {"user": ..., "items": [...]}, a user a line. Text may be compressed (.gz).
        user, item: names of columns; by default told by usual names.
        chunk_users: how many users a chunk holds at most.
        block_bytes: how much text is parsed at a time.

    Raises:
        DataError: the file cannot be read; with the row or line at fault.
    """
    if chunk_users < 1:
        raise DataError(f"chunk_users is {chunk_users}; it must be at least 1")
    path = Path(path)
    suffix = PurePath(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in (*TEXT, *PARQUET, *JSON_LINES):
        raise DataError(
            f"{path} ends in {suffix!r}; histories are read from .csv, .tsv, .parquet or .jsonl"
        )
    files = RawFiles(path)
    if files.kind != "file":
        raise DataError(f"{path} is no file; name one file of histories")
    if suffix in JSON_LINES:
        return _read_json_lines(bundle, files, chunk_users, min(block_bytes, JSON_BLOCK_BYTES))
    columns = Columns(user=user, item=item)
    if suffix in PARQUET:
        blocks = _parquet_blocks(path, columns)
    else:
        blocks = _text_blocks(files, columns, TEXT[suffix], block_bytes)
    return _read_table(bundle, path, blocks, chunk_users)


def _text_blocks(
    files: RawFiles, columns: Columns, separator: str, block_bytes: int
) -> Iterator[tuple[pl.DataFrame, int]]:
    name = files.names[0]
    where = files.where(name)
    header = next(csv.reader([files.first_line(name)], delimiter=separator))
    names = [cell.strip() for cell in header]
    roles = columns.resolve(names, where)
    types = {roles["user"]: pl.String, roles["item"]: pl.String}
    dialect = Dialect(separator, quoted=True)
    for frame, first in read_blocks(files, name, names, types, dialect, block_bytes):
        yield frame.select(user=pl.col(roles["user"]), item=pl.col(roles["item"])), first


def _parquet_blocks(path: Path, columns: Columns) -> Iterator[tuple[pl.DataFrame, int]]:
    try:
        table = pl.scan_parquet(path, glob=False, hive_partitioning=False)
        roles = columns.resolve(table.collect_schema().names(), str(path))
        wanted = table.select(user=pl.col(roles["user"]), item=pl.col(roles["item"]))
        n_rows = int(table.select(pl.len()).collect().item())
        for start in range(0, n_rows, PARQUET_ROWS):
            block = wanted.slice(start, PARQUET_ROWS).collect()
            yield block.select(_id_column(block[c], path) for c in ("user", "item")), start + 1
    except PolarsError as error:
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path} is no whole Parquet file ({reason}); write it again") from None


def _id_column(values: pl.Series, path: Path) -> pl.Series:
    if values.dtype.is_integer():
        numbers = values.cast(pl.Int64, strict=False)
        if numbers.null_count() > values.null_count():
            raise beyond(values.name, values.filter(numbers.is_null() & values.is_not_null())[0])
        return numbers
    if values.dtype in (pl.Categorical, pl.Enum):
        return values.cast(pl.String)
    if values.dtype in (pl.String, pl.Null):
        return values
    raise SchemaError(
        f"{path}: the {values.name} column is {values.dtype}; make it integers or text"
    )


def _read_table(
    bundle: HasItems, path: Path, blocks: Iterator[tuple[pl.DataFrame, int]], chunk_users: int
) -> Iterator[HistoryChunk]:
    known = GrowingIds("user", typed=path.suffix.lower() in PARQUET)
    seen = np.empty(0, np.int64)
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    for frame, first in blocks:
        if frame["user"].null_count():
            row = first + int(frame["user"].is_null().arg_max() or 0)
            raise DataError(f"{path}, row {row}: the user is missing")
        codes = known.encode(frame["user"]).to_numpy().astype(np.int32)
        seen = _first_seen(seen, codes, len(known), first)
        rows.append(codes)
        found = bundle.items.index(frame["item"]).astype(np.int32)
        # A row without an item is not an unknown item.
        found[frame["item"].is_null().to_numpy()] = bundle.n_items
        columns.append(found)
    order = np.argsort(seen)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    users = known.vocabulary().ids.gather(pl.Series(order))
    matrix = _grouped([place[r] for r in _emptied(rows)], columns, (len(users), bundle.n_items))
    for start in range(0, len(users), chunk_users):
        part = matrix[start : start + chunk_users]
        unknown = int(part.data[part.indices == bundle.n_items + 1].sum())
        histories = canonical(part[:, : bundle.n_items])
        yield HistoryChunk(users.slice(start, chunk_users), histories, unknown)


def _first_seen(seen: np.ndarray, codes: np.ndarray, n_known: int, first_row: int) -> np.ndarray:
    """The row that each code was first seen in, with the codes of one more block of rows."""
    n_before = len(seen)
    seen = np.concatenate([seen, np.empty(n_known - n_before, np.int64)])
    new = np.flatnonzero(codes >= n_before)[::-1]
    seen[codes[new]] = first_row + new  # backwards, so that the first row is written last
    return seen


def _emptied(arrays: list[np.ndarray]) -> Iterator[np.ndarray]:
    """The arrays in order, each let go of before the next is taken."""
    arrays.reverse()
    while arrays:
        yield arrays.pop()


def _grouped(rows: list[np.ndarray], columns: list[np.ndarray], shape: tuple[int, int]) -> Any:
    """The entries row by row, with a column for "no item" and a last one that counts unknowns.

    The lists are emptied on the way, since they are as long as the file.
    """
    n_rows, n_items = shape
    empty = np.empty(0, np.int32)
    row = np.concatenate([*rows, empty])
    rows.clear()
    column = np.concatenate([*columns, empty])
    columns.clear()
    column[column < 0] = n_items + 1
    ones = np.ones(len(row), np.int32)
    return csr_array((ones, (row, column)), shape=(n_rows, n_items + 2))


def _read_json_lines(
    bundle: HasItems, files: RawFiles, chunk_users: int, block_bytes: int
) -> Iterator[HistoryChunk]:
    users: list[int | str] = []
    lists: list[list[int | str]] = []
    kind: type | None = None
    for where, line in _lines(files, block_bytes):
        user, items = _parsed(line, where)
        if kind is not None and type(user) is not kind:
            raise DataError(
                f"{where}: the user is {user!r}; users before it are "
                f"{'integers' if kind is int else 'text'}: write all one way"
            )
        kind = type(user)
        users.append(user)
        lists.append(items)
        if len(users) == chunk_users:
            yield _chunk(bundle, users, lists)
            users, lists = [], []
    if users:
        yield _chunk(bundle, users, lists)


def _chunk(bundle: HasItems, users: list[int | str], lists: list[list[int | str]]) -> HistoryChunk:
    histories, unknown = histories_from_items(bundle, lists)
    return HistoryChunk(pl.Series("user", users), histories, int(unknown.sum()))


def _lines(files: RawFiles, block_bytes: int) -> Iterator[tuple[str, bytes]]:
    name = files.names[0]
    number = 0
    for block in files.blocks(name, size=block_bytes):
        for line in block.split(b"\n"):
            number += 1
            if line.strip():
                yield f"{files.where(name)}, line {number}", line
        number -= block.endswith(b"\n")


def _parsed(line: bytes, where: str) -> tuple[int | str, list[int | str]]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DataError(
            f'{where} is not JSON ({error}); {{"user": ..., "items": [...]}} was expected'
        ) from None
    user = value.get("user") if isinstance(value, dict) else None
    items = value.get("items") if isinstance(value, dict) else None
    if isinstance(user, bool) or not isinstance(user, int | str) or not isinstance(items, list):
        shown = line[:80].decode(errors="replace")
        raise DataError(
            f"{where} is {shown!r}; an object with a 'user' (integer or text) and a list 'items' "
            "was expected"
        )
    return user, items
